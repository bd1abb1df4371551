//! Each kind of error with each effect: what is looked at, what is tried again, and how it ends.

use std::sync::Arc;

use super::side_by_side::{Vendor, apply};
use super::*;
use crate::provider::{Effect, Error, Outcome};

/// One change that fails in this way for ever: how it ends, how often it was written, how often live was read.
fn ends(kind: ErrorKind, effect: Effect, happened: bool) -> (State, usize, usize) {
    let bench = Bench::new(vec![grant("x", "a")]);
    let world = bench.world.clone();
    let answers = move |change: &Change, _| -> Result<Outcome, Error> {
        if happened {
            world.make(change);
        }
        let error = Error::new(kind, "it fails");
        Err(if effect == Effect::Unknown { error.maybe_done() } else { error })
    };
    let vendor = Vendor { answers: Arc::new(answers), ..Vendor::of(&bench) };
    let report = apply(&bench, &vendor);
    let reads = bench.world.reads.lock().unwrap().len();
    (report.steps[0].state, vendor.log.lock().unwrap().len(), reads)
}

#[test]
fn a_refusal_is_tried_again_only_where_its_kind_allows() {
    use ErrorKind::*;
    for kind in [Auth, Denied, Unsupported, Malformed, Other] {
        assert_eq!(ends(kind, Effect::None, false), (State::Failed, 1, 0), "{kind:?}");
    }
    // What is said not to exist is looked at once, a conflict each time; both ends of the edge.
    assert_eq!(ends(NotFound, Effect::None, false), (State::Failed, 1, 2));
    assert_eq!(ends(Conflict, Effect::None, false), (State::Failed, 4, 8));
    for kind in [Throttled, Unreachable] {
        let (state, writes, reads) = ends(kind, Effect::None, false);
        assert_eq!((state, reads), (State::Failed, 0), "{kind:?}");
        assert!((15..40).contains(&writes), "{kind:?}: {writes} tries in ten minutes");
    }
}

#[test]
fn what_is_so_already_is_seen_where_the_refusal_says_that_something_is_not_as_it_was() {
    use ErrorKind::*;
    for kind in [NotFound, Conflict] {
        assert_eq!(ends(kind, Effect::None, true).0, State::Already, "{kind:?}");
    }
}

#[test]
fn invariant_25_whatever_the_kind_an_unknown_outcome_is_read_before_it_is_tried_again() {
    use ErrorKind::*;
    for kind in [Auth, Denied, NotFound, Conflict, Throttled, Unsupported, Malformed, Unreachable, Other] {
        assert_eq!(ends(kind, Effect::Unknown, true), (State::Done, 1, 2), "{kind:?}");
        let (state, writes, reads) = ends(kind, Effect::Unknown, false);
        assert_eq!((state, reads), (State::Failed, 2 * writes), "{kind:?}");
        assert!((10..40).contains(&writes), "{kind:?}: {writes}");
    }
}
