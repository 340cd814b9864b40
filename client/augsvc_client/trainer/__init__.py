"""A small trainer on batches from the service.

entry → cli → recipe → experiments (run, ensemble, ablation, sanity) → models, training (RemoteDataLoader, loop, checkpoint)
                     → report (plots, report.html), export (ONNX, predict)
"""
