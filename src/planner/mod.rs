//! What must change, why, in which order.
