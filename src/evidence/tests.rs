//! A chain of bundles, and every way to break it.

use super::*;

fn bundle_of(number: u64, previous: Option<&Digest>) -> Bundle {
    let digest = Digest::of(&"x");
    Bundle {
        format: EVIDENCE_FORMAT.to_owned(),
        number,
        previous: previous.cloned(),
        tool: Tool { version: "rolecall 0.1.0".to_owned(), binary: None },
        applied: Applied {
            plan: format!("p{number}"),
            effect: digest.clone(),
            effects: Vec::new(),
            created: Timestamp::UNIX_EPOCH,
            expires: Timestamp::UNIX_EPOCH,
            commit: None,
            basis: Basis::default(),
            complete: true,
            simulated: true,
        },
        approval: Approved { text: String::new(), approval: crate::model::Approval::Simulated },
        run: Ran::default(),
        changes: Vec::new(),
        held: Vec::new(),
        waived: Vec::new(),
        steps: Vec::new(),
        verification: Verification {
            converged: true,
            left: Vec::new(),
            population: Some(Population { edges: 0, principals: 0, digest }),
        },
    }
}

fn chain() -> Vec<(String, Vec<u8>)> {
    let mut chain: Vec<(String, Vec<u8>)> = Vec::new();
    for number in 1..=4 {
        let previous = chain.last().map(|(_, bytes)| Digest::of_bytes(bytes));
        chain.push((format!("{number:06}"), bytes(&bundle_of(number, previous.as_ref()))));
    }
    chain
}

#[test]
fn invariant_40_a_byte_flipped_a_bundle_dropped_or_put_elsewhere_breaks_the_chain() {
    assert!(verify(&chain()).is_empty());
    let whole = chain();
    for at in 0..whole[1].1.len() {
        let mut flipped = whole.clone();
        flipped[1].1[at] ^= 1;
        assert!(!verify(&flipped).is_empty(), "byte {at}");
    }
    for dropped in 0..3 {
        let mut rest = whole.clone();
        rest.remove(dropped);
        assert!(!verify(&rest).is_empty(), "{dropped}");
    }
    let mut swapped = whole;
    swapped.swap(1, 2);
    assert!(!verify(&swapped).is_empty());
}
