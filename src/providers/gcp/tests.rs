//! The provider over the simulator: what it declares, reads and writes.
