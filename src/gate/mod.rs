//! What may go on.
