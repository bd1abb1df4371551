//! Carrying out what was approved.
