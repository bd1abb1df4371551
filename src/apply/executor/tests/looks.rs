//! Looking at what an earlier run began, at what may have moved, and at what was accepted and then failed.

use super::side_by_side::{Answers, Heard, Vendor, apply, members, pending, states};
use super::*;
use crate::provider::{Error, Outcome, Patience};

/// A group of a thousand, and more who are to get in: a list of it is six pages or seven.
fn crowd(more: usize) -> Bench {
    let bench = Bench::new(members(more, "big"));
    for n in 0..1000 {
        bench.world.make(&grant(&format!("m{n}"), "big"));
    }
    bench
}

fn paged(bench: &Bench) -> Vendor {
    Vendor { page: Some(200), width: 50, ..Vendor::of(bench) }
}

/// A run that dies while its calls are under way.
fn begin(bench: &Bench, vendor: &Vendor) {
    let dies = async {
        bench.clock.sleep(Duration::from_secs(1)).await;
        bench.world.killed.notify_one();
    };
    let slow = Vendor { takes: |_| 100_000, ..vendor.clone() };
    assert_eq!(bench.apply_beside(&plan(&bench.changes), &slow, &Silent, dies), None);
}

/// How often one edge was asked for alone, and a thing read with all of its edges.
fn looks(bench: &Bench) -> (usize, usize) {
    (bench.world.edges.lock().unwrap().len(), bench.world.reads.lock().unwrap().len())
}

#[test]
fn few_that_a_dead_run_began_are_asked_for_one_by_one_and_many_are_read_together() {
    for (more, alone) in [(1, true), (7, true), (8, false), (40, false)] {
        let bench = crowd(more);
        let vendor = paged(&bench);
        begin(&bench, &vendor);
        // Half of it had arrived.
        bench.changes[..more / 2].iter().for_each(|change| _ = bench.world.make(change));
        let report = apply_all(&bench, &vendor);
        assert_eq!(report.count(State::Already), more / 2);
        assert_eq!(report.count(State::Done), more - more / 2);
        let (edges, reads) = looks(&bench);
        assert_eq!((edges, reads > 0), if alone { (more, false) } else { (0, true) }, "{more}");
    }
}

/// Applies the approved plan as it is, as if what has arrived did not show when it was made again.
fn apply_all(bench: &Bench, vendor: &Vendor) -> Report {
    bench.apply_to(&plan(&bench.changes), vendor).unwrap()
}

#[test]
fn an_old_observation_is_looked_at_in_one_list_where_the_plan_is_long() {
    for (more, alone) in [(3, true), (40, false)] {
        let mut bench = crowd(more);
        bench.observed = time("2026-11-22T11:44:00Z");
        assert_eq!(apply(&bench, &paged(&bench)).count(State::Done), more);
        let (edges, reads) = looks(&bench);
        assert_eq!((edges, reads > 0), if alone { (more, false) } else { (0, true) }, "{more}");
    }
}

#[test]
fn invariant_25_where_an_edge_cannot_be_read_alone_the_list_is() {
    let bench = crowd(2);
    let vendor = Vendor { blind: Some(ErrorKind::Denied), ..paged(&bench) };
    begin(&bench, &vendor);
    bench.world.make(&bench.changes[0]);
    assert_eq!(states(&apply_all(&bench, &vendor)), [State::Already, State::Done]);
    assert!(looks(&bench).1 > 0);
}

#[test]
fn invariant_25_where_nobody_answers_nothing_is_written() {
    let bench = crowd(2);
    let vendor = Vendor { blind: Some(ErrorKind::Unreachable), ..paged(&bench) };
    begin(&bench, &vendor);
    assert_eq!(states(&apply_all(&bench, &vendor)), [State::Unknown; 2]);
    assert_eq!((vendor.log.lock().unwrap().len(), looks(&bench).1), (0, 0));
}

#[test]
fn an_operation_that_an_earlier_run_began_and_that_fails_is_begun_again_at_once() {
    let bench = Bench::new(vec![create("a")]);
    let patience = Patience { pending: Duration::from_secs(5), ..Patience::default() };
    let still: Answers = Arc::new(|_, _| Ok(Outcome::Pending { poll: "operation 7".into() }));
    let vendor = Vendor { answers: pending(), polls: still, patience, ..Vendor::of(&bench) };
    assert_eq!(states(&apply(&bench, &vendor)), [State::Pending]);

    let before = vendor.asked();
    let polls: Answers = Arc::new(move |_, asked| match asked == before {
        true => Err(Error::new(ErrorKind::Conflict, "it failed")),
        false => Ok(Outcome::Done { request_id: None }),
    });
    let vendor = Vendor { polls, ..vendor };
    assert_eq!(states(&apply(&bench, &vendor)), [State::Done]);
    assert_eq!(vendor.log.lock().unwrap().len(), 2, "it was begun by each run");
}

#[test]
fn progress_knows_the_limit_also_of_what_an_earlier_run_began() {
    let bench = Bench::new([members(1, "z"), members(2, "zz")].concat());
    let vendor = Vendor { width: 1, takes: |_| 40, ..Vendor::of(&bench) };
    begin(&bench, &vendor);
    let heard = Heard::default();
    let report = bench.apply_beside(&plan(&bench.changes), &vendor, &heard, async {}).unwrap();
    assert_eq!(report.count(State::Done), 3);
    let heard = heard.0.lock().unwrap();
    let waits = heard.iter().filter(|told| told.contains("z waits until 2026-11-22T12:01:00Z")).count();
    let lefts: Vec<_> =
        heard.iter().filter_map(|told| told.split_once(" left ")).map(|(_, left)| left).collect();
    assert_eq!((waits, lefts), (1, vec!["Some(21)", "Some(20)", "Some(0)"]), "{heard:?}");
}
