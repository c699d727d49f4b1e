"""The neural transducer: encoder, label predictor, block joint and the CTC heads."""
