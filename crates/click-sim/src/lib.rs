//! How it is proven: the plain reference model, generators and checkers.
