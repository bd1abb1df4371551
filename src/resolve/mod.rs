//! What manifests ask for, given people and time.
