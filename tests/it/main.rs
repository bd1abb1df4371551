//! The one integration binary: each module tests the whole through its public face.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test, to panic is to fail, which is meant")]
#![allow(clippy::print_stdout, reason = "what a test measured is worth reading")]

mod attacks;
mod aws;
mod broken;
mod ci;
mod cli;
mod contain;
mod drift;
mod edit;
mod evidence;
mod example;
mod explain;
mod filling;
mod fuzz_note;
mod gcp;
mod gitlab;
mod init;
mod invariants;
mod journal;
mod kill;
mod lock;
mod moto;
mod okta;
mod organization;
mod pipeline;
mod rehearse;
mod repo;
mod scenarios;
mod served;
mod servers;
mod soak;
mod tidy;
mod toy;
mod trust;
mod waiting;
