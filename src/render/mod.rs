//! Plans and findings for people and machines.
