"""`make bench ONLY=learning`: Beckon's model beside public baselines: accuracy, seconds and memory, in one run."""
