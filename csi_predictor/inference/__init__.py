"""A trained model at work: bundle, engines and the one predict loop."""
