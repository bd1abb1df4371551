//! The one binary of integration tests.

mod broken;
