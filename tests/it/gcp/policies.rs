//! Policies that somebody else writes at the same time.

use super::*;
