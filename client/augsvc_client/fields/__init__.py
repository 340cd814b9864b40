"""The fields of a batch: which ones the service transforms, their forms, and the way there and back, for arrays and tensors."""
