"""The benchmarks themselves: what they run, count and report. No test here depends on timing."""
