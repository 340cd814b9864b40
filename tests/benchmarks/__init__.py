"""The benchmarks themselves: what they run, count and say. No test here depends on how long anything takes."""
