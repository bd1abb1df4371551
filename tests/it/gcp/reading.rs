//! How little is read, and what becomes of reads that fail.

use super::*;
