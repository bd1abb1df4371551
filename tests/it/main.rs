//! The one integration binary: each module tests the whole through its public face.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test, to panic is to fail, which is meant")]

mod aws;
mod moto;
mod okta;
mod servers;
mod tidy;
mod toy;
