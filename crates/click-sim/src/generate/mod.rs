//! Adversarial plain logs from a seed.
