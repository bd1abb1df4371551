//! Okta and AWS in one file.
