"""The only room that imports boto3 and Powertools: adapters for every port, HTTP plumbing, wiring."""
