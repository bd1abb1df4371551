//! What counts as an approval, and what does not.

use super::*;
use crate::model::{Approving, BotNote, Commit, Deployment, ForgeRules, MergeRequest};

fn at(hour: i64) -> Timestamp {
    let start: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
    start + jiff::SignedDuration::from_hours(hour)
}

fn effect(n: u32) -> Digest {
    Digest::of(&n)
}

fn effects(numbers: &[u32]) -> BTreeSet<Digest> {
    numbers.iter().map(|n| effect(*n)).collect()
}

fn quorum(numbers: &[u32], needed: u32, owners: &[&str]) -> Quorum {
    Quorum {
        risk: Risk::High,
        needed,
        owners: owners.iter().map(|owner| (*owner).to_owned()).collect(),
        managers: Vec::new(),
        effects: effects(numbers),
        of: vec!["role `infra`".to_owned()],
        impossible: None,
        queued: false,
    }
}

fn commit(id: &str, email: &str) -> Commit {
    Commit { id: id.to_owned(), author: email.to_owned(), committer: email.to_owned() }
}

/// Opened by rpatel at 1, pushed at 2, noted at 3, approved by klibby at 4, merged at 5.
fn request(number: u32, shows: &[u32]) -> MergeRequest {
    let shows = effects(shows);
    MergeRequest {
        name: format!("acme/access!{number}"),
        url: String::new(),
        title: String::new(),
        author: "rpatel".to_owned(),
        created: at(1),
        merged: Some(at(5)),
        merged_by: None,
        head: "c1".to_owned(),
        version: ("c1".to_owned(), at(2)),
        commits: vec![commit("c1", "rpatel@acme.com")],
        pushers: BTreeSet::new(),
        approvals: vec![Approving { by: "klibby".to_owned(), at: Some(at(4)) }],
        notes: vec![BotNote {
            edited: at(3),
            effect: Some(Digest::of(&shows.iter().collect::<Vec<_>>())),
            effects: shows,
        }],
    }
}

/// What is said, to be changed by each test.
struct Case {
    history: History,
    statements: Vec<Statement>,
    accounts: Accounts,
    plan: BTreeSet<Digest>,
    stands_for: BTreeMap<Digest, Digest>,
    wrote: BTreeMap<Digest, Vec<Option<Commit>>>,
    lenient: bool,
}

const PEOPLE: [&str; 5] = ["klibby", "rpatel", "tnguyen", "mallory", "dmurphy"];

impl Case {
    fn of(requests: Vec<MergeRequest>) -> Self {
        let strict =
            ForgeRules { author_may_approve: false, committer_may_approve: false, reset_on_push: true };
        Self {
            history: History {
                requests,
                bot: Some("bot".to_owned()),
                rules: Some(Ok(strict)),
                ..History::default()
            },
            statements: Vec::new(),
            accounts: Accounts {
                forge: Some("gitlab.com".to_owned()),
                at_work: PEOPLE.iter().map(|name| Name::from(*name)).collect(),
                by_account: PEOPLE.iter().map(|name| ((*name).to_owned(), Name::from(*name))).collect(),
                by_email: PEOPLE.iter().map(|name| (format!("{name}@acme.com"), Name::from(*name))).collect(),
                groups: [("@acme/leads".to_owned(), ["tnguyen".into()].into())].into(),
            },
            plan: effects(&[1]),
            stands_for: BTreeMap::new(),
            wrote: BTreeMap::new(),
            lenient: false,
        }
    }

    fn review(&self, quorums: &[Quorum]) -> Result<Reviewed, Vec<Finding>> {
        let effect = Digest::of(&self.plan.iter().collect::<Vec<_>>());
        review(
            quorums,
            Said {
                history: &self.history,
                statements: &self.statements,
                accounts: &self.accounts,
                plan: Asked {
                    id: "p1",
                    document: &self::effect(0),
                    effect: &effect,
                    effects: &self.plan,
                    created: at(6),
                },
                stands_for: &self.stands_for,
                wrote: &self.wrote,
                lenient: self.lenient,
            },
        )
    }

    /// The notes of the one refusal.
    fn refused(&self, quorum: Quorum) -> String {
        let findings = self.review(&[quorum]).unwrap_err();
        findings.iter().map(|finding| format!("{} {}\n", finding.message, finding.notes.join("\n"))).collect()
    }
}

#[test]
fn invariant_2_an_owner_who_saw_it_after_the_last_change_approves_it() {
    let case = Case::of(vec![request(1, &[1])]);
    let reviewed = case.review(&[quorum(&[1], 1, &["klibby"])]).unwrap();
    assert_eq!(reviewed.covered.len(), 1);
    let covered = &reviewed.covered[0];
    assert_eq!(covered.source, "acme/access!1");
    assert_eq!(covered.by, [("klibby".into(), at(4))]);
    assert_eq!(covered.asked, ["rpatel"]);
}

#[test]
fn invariant_2_what_no_merge_request_showed_is_refused() {
    let case = Case { plan: effects(&[1, 2]), ..Case::of(vec![request(1, &[1])]) };
    let refused = case.refused(quorum(&[1, 2], 1, &["klibby"]));
    assert!(refused.contains("1 effect of role `infra`"), "{refused}");
    assert!(refused.contains("nothing that was approved shows exactly this"), "{refused}");
}

#[test]
fn invariant_2_what_remains_of_an_approved_effect_is_approved_with_it() {
    let mut case = Case::of(vec![request(1, &[1])]);
    assert!(case.review(&[quorum(&[3], 1, &["klibby"])]).is_err());
    case.stands_for = [(effect(3), effect(1))].into();
    let reviewed = case.review(&[quorum(&[3], 1, &["klibby"])]).unwrap();
    assert_eq!(reviewed.effects().collect::<Vec<_>>(), [&effect(3)]);
}

#[test]
fn invariant_2_what_only_waits_without_approval_stops_nothing_else() {
    let queued = Quorum { queued: true, ..quorum(&[2], 1, &["klibby"]) };
    let reviewed =
        Case::of(vec![request(1, &[1])]).review(&[quorum(&[1], 1, &["klibby"]), queued.clone()]).unwrap();
    assert_eq!(reviewed.effects().collect::<Vec<_>>(), [&effect(1)]);
    let both = Case::of(vec![request(1, &[1, 2])]).review(&[quorum(&[1], 1, &["klibby"]), queued]).unwrap();
    assert_eq!(both.effects().count(), 2);
}

#[test]
fn invariant_2_as_many_owners_as_the_risk_asks_for_and_the_manager_besides() {
    let case = Case::of(vec![request(1, &[1])]);
    let refused = case.refused(quorum(&[1], 2, &["klibby", "@acme/leads"]));
    assert!(refused.contains("1 of 2 who have to did"), "{refused}");
    let managed = Quorum { managers: vec!["dmurphy".into()], ..quorum(&[1], 1, &["klibby"]) };
    assert!(case.refused(managed.clone()).contains("the manager `dmurphy` did not"));
    let mut more = request(1, &[1]);
    for by in ["tnguyen", "DMurphy"] {
        more.approvals.push(Approving { by: by.to_owned(), at: Some(at(4)) });
    }
    let case = Case::of(vec![more]);
    let reviewed =
        case.review(&[Quorum { needed: 2, owners: vec!["@acme/leads".into(), "klibby".into()], ..managed }]);
    assert_eq!(reviewed.unwrap().covered[0].by.len(), 3);
}

#[test]
fn invariant_2_whoever_does_not_own_it_or_is_not_at_work_does_not_count() {
    let mut request = request(1, &[1]);
    request.approvals = vec![
        Approving { by: "dmurphy".to_owned(), at: Some(at(4)) },
        Approving { by: "project_42_bot_x".to_owned(), at: Some(at(4)) },
    ];
    let refused = Case::of(vec![request]).refused(quorum(&[1], 1, &["klibby"]));
    assert!(refused.contains("`dmurphy` approved it and does not own it"), "{refused}");
    assert!(
        refused.contains("`project_42_bot_x`, who approved acme/access!1, is nobody who is at work"),
        "{refused}"
    );
}

#[test]
fn invariant_2_what_nobody_answers_for_cannot_be_approved() {
    let nobody = Quorum { impossible: Some("nobody answers for it".to_owned()), ..quorum(&[1], 1, &[]) };
    assert!(Case::of(vec![request(1, &[1])]).refused(nobody).contains("nobody answers for it"));
}

#[test]
fn invariant_3_authors_committers_and_those_who_pushed_do_not_count() {
    let written: [fn(&mut MergeRequest); 4] = [
        |request| request.author = "klibby".to_owned(),
        |request| request.commits[0].author = "KLibby@acme.com".to_owned(),
        |request| request.commits[0].committer = "17-klibby@users.noreply.gitlab.com".to_owned(),
        |request| request.pushers = ["klibby".to_owned()].into(),
    ];
    for change in written {
        let mut request = request(1, &[1]);
        change(&mut request);
        let refused = Case::of(vec![request]).refused(quorum(&[1], 1, &["klibby"]));
        assert!(refused.contains("`klibby` approved acme/access!1 and wrote some of it"), "{refused}");
    }
}

#[test]
fn invariant_3_an_address_that_the_forge_did_not_make_up_is_nobodys() {
    for (email, known) in [
        ("17-klibby@users.noreply.gitlab.com", true),
        ("ann-klibby@users.noreply.gitlab.com", false),
        ("-klibby@users.noreply.gitlab.com", false),
        ("klibby@users.noreply.gitlab.com", false),
        ("17-klibby@users.noreply.evil.example", false),
    ] {
        assert_eq!(Case::of(Vec::new()).accounts.of_email(email).is_some(), known, "{email}");
    }
}

#[test]
fn invariant_3_whoever_nobody_knows_may_have_written_it_and_approved_it() {
    let mut forged = request(1, &[1]);
    forged.commits.push(commit("c0", "someone@home.example"));
    let refused = Case::of(vec![forged]).refused(quorum(&[1], 1, &["klibby"]));
    assert!(refused.contains("`someone@home.example`, which is nobody's address here"), "{refused}");
    let mut merged = request(1, &[1]);
    merged.commits[0].committer = "noreply@github.com".to_owned();
    assert!(Case::of(vec![merged.clone()]).review(&[quorum(&[1], 1, &["klibby"])]).is_ok());
    merged.commits[0].author = "noreply@github.com".to_owned();
    assert!(Case::of(vec![merged]).review(&[quorum(&[1], 1, &["klibby"])]).is_err());
    let mut second = request(1, &[1]);
    second.author = "mallory2".to_owned();
    let refused = Case::of(vec![second]).refused(quorum(&[1], 1, &["klibby"]));
    assert!(refused.contains("`mallory2`, who wrote acme/access!1, is nobody"), "{refused}");
}

#[test]
fn invariant_3_the_next_merge_request_does_not_launder_what_the_last_one_asked_for() {
    let mut mallorys = request(1, &[1]);
    mallorys.author = "mallory".to_owned();
    mallorys.commits = vec![commit("c1", "mallory@acme.com")];
    mallorys.approvals.clear();
    let mut next = request(2, &[1, 2]);
    next.approvals = vec![Approving { by: "mallory".to_owned(), at: Some(at(4)) }];
    let case = Case { plan: effects(&[1, 2]), ..Case::of(vec![mallorys.clone(), next.clone()]) };
    assert!(case.refused(quorum(&[1], 1, &["mallory"])).contains("wrote some of it"));
    // What the second one shows alone may have been held when hers was planned.
    assert!(case.refused(quorum(&[2], 1, &["mallory"])).contains("wrote some of it"));
    mallorys.notes.clear();
    let case = Case { plan: effects(&[1, 2]), ..Case::of(vec![mallorys, next]) };
    assert!(case.refused(quorum(&[2], 1, &["mallory"])).contains("wrote some of it"));
}

#[test]
fn invariant_3_whoever_pushed_to_the_branch_itself_approves_nothing() {
    let mut case = Case::of(vec![request(1, &[1])]);
    case.history.direct.push(commit("d1", "klibby@acme.com"));
    assert!(case.refused(quorum(&[1], 1, &["klibby"])).contains("wrote some of it"));
}

#[test]
fn invariant_5_approvals_before_the_last_change_or_the_last_edit_of_the_note_do_not_count() {
    let mut pushed = request(1, &[1]);
    pushed.version.1 = at(4);
    pushed.notes[0].edited = at(5);
    let refused = Case::of(vec![pushed]).refused(quorum(&[1], 1, &["klibby"]));
    assert!(refused.contains("`klibby` approved acme/access!1 before its last change"), "{refused}");
    let mut edited = request(1, &[1]);
    edited.notes[0].edited = at(4);
    let refused = Case::of(vec![edited]).refused(quorum(&[1], 1, &["klibby"]));
    assert!(refused.contains("before its note was last edited"), "{refused}");
    let mut stale = request(1, &[1]);
    stale.version.1 = at(3) + jiff::SignedDuration::from_mins(1);
    let refused = Case::of(vec![stale]).refused(quorum(&[1], 1, &["klibby"]));
    assert!(refused.contains("the note of acme/access!1 is older than its last change"), "{refused}");
    let mut unknown = request(1, &[1]);
    unknown.approvals[0].at = None;
    let refused = Case::of(vec![unknown]).refused(quorum(&[1], 1, &["klibby"]));
    assert!(refused.contains("it is not known when `klibby` approved"), "{refused}");
}

#[test]
fn invariant_5_an_approval_of_another_head_than_the_merged_one_does_not_count() {
    let mut other = request(1, &[1]);
    other.head = "c2".to_owned();
    let refused = Case::of(vec![other]).refused(quorum(&[1], 1, &["klibby"]));
    assert!(refused.contains("`c2` was merged, and the forge's last version of it is `c1`"), "{refused}");
    let mut open = request(1, &[1]);
    open.merged = None;
    assert!(Case::of(vec![open]).refused(quorum(&[1], 1, &["klibby"])).contains("is not merged"));
}

#[test]
fn invariant_5_a_note_that_is_only_advice_shows_nothing() {
    let mut case = Case::of(vec![request(1, &[1])]);
    case.history.notes_are_advice = Some("the pipeline is the access repo's own".to_owned());
    assert!(case.refused(quorum(&[1], 1, &["klibby"])).contains("is only advice"));
    let mut none = request(1, &[1]);
    none.notes.clear();
    assert!(Case::of(vec![none]).refused(quorum(&[1], 1, &["klibby"])).contains("has no note by bot"));
    let mut several = request(1, &[1]);
    several.notes.push(several.notes[0].clone());
    assert!(Case::of(vec![several]).refused(quorum(&[1], 1, &["klibby"])).contains("has several notes"));
    let mut unsealed = request(1, &[1]);
    unsealed.notes[0].effect = None;
    assert!(
        Case::of(vec![unsealed]).refused(quorum(&[1], 1, &["klibby"])).contains("does not say which effects")
    );
}

#[test]
fn invariant_6_weak_settings_of_the_forge_are_refused_or_recorded() {
    let weak: [Result<ForgeRules, String>; 4] = [
        Ok(ForgeRules { author_may_approve: true, committer_may_approve: false, reset_on_push: true }),
        Ok(ForgeRules { author_may_approve: false, committer_may_approve: true, reset_on_push: true }),
        Ok(ForgeRules { author_may_approve: false, committer_may_approve: false, reset_on_push: false }),
        Err("403".to_owned()),
    ];
    for rules in weak {
        let mut case = Case::of(vec![request(1, &[1])]);
        case.history.rules = Some(rules);
        let findings = case.review(&[quorum(&[1], 1, &["klibby"])]).unwrap_err();
        assert_eq!(findings[0].code.as_ref(), WEAK_FORGE.code);
        case.lenient = true;
        let reviewed = case.review(&[quorum(&[1], 1, &["klibby"])]).unwrap();
        assert_eq!(reviewed.not_compliant.len(), 1);
        assert!(reviewed.to_string().contains("not compliant"));
    }
}

#[test]
fn a_deployment_approves_the_whole_plan_unless_somebody_rejects_it_or_it_is_older_than_the_plan() {
    let mut case = Case::of(vec![request(1, &[])]);
    case.history.notes_are_advice = Some("x".to_owned());
    let approvals = vec![Approving { by: "klibby".to_owned(), at: Some(at(7)) }];
    let deployment =
        Deployment { name: "deployment 17 of access".to_owned(), approvals, rejected: Vec::new() };
    case.history.deployment = Some(deployment.clone());
    let reviewed = case.review(&[quorum(&[1], 1, &["klibby"])]).unwrap();
    assert_eq!(reviewed.covered[0].source, "deployment 17 of access");
    assert_eq!(reviewed.deployment, Some(deployment.clone()));
    case.history.deployment = Some(Deployment { rejected: vec!["tnguyen".to_owned()], ..deployment.clone() });
    assert!(case.refused(quorum(&[1], 1, &["klibby"])).contains("`tnguyen` rejected deployment 17"));
    let early = vec![Approving { by: "klibby".to_owned(), at: Some(at(5)) }];
    case.history.deployment = Some(Deployment { approvals: early, ..deployment.clone() });
    assert!(case.refused(quorum(&[1], 1, &["klibby"])).contains("before this plan was made"));
    // Whoever wrote any of it does not approve it here either.
    case.history.deployment = Some(deployment);
    case.history.requests[0].author = "klibby".to_owned();
    assert!(case.refused(quorum(&[1], 1, &["klibby"])).contains("wrote some of it"));
}

#[test]
fn a_statement_approves_the_plan_whose_effect_it_names() {
    let mut case = Case::of(Vec::new());
    case.history = History { direct: vec![commit("d1", "rpatel@acme.com")], ..History::default() };
    let whole = Digest::of(&case.plan.iter().collect::<Vec<_>>());
    let (file, plan) = ("a.json".to_owned(), "p1".to_owned());
    let statement =
        Statement { file, by: "klibby".into(), at: at(6), plan, document: effect(0), effect: whole };
    case.statements = vec![statement.clone()];
    let reviewed = case.review(&[quorum(&[1], 1, &["klibby"])]).unwrap();
    assert_eq!(reviewed.covered[0].source, "statement `a.json`");
    case.statements[0].effect = effect(9);
    assert!(case.refused(quorum(&[1], 1, &["klibby"])).contains("approves effect"));
    case.statements = vec![Statement { by: "rpatel".into(), ..statement.clone() }];
    assert!(case.refused(quorum(&[1], 1, &["rpatel"])).contains("wrote some of it"));
    // Of a plan that asked for just the same before it was taken back.
    case.statements = vec![Statement { plan: "p0".to_owned(), ..statement.clone() }];
    assert!(case.refused(quorum(&[1], 1, &["klibby"])).contains("is of plan `p0`, and this is `p1`"));
    case.statements = vec![Statement { document: effect(9), ..statement.clone() }];
    assert!(case.refused(quorum(&[1], 1, &["klibby"])).contains("said something else"));
    // A key outlives whose it was.
    case.statements = vec![statement];
    case.accounts.at_work.remove("klibby");
    let refused = case.refused(quorum(&[1], 1, &["klibby"]));
    assert!(
        refused.contains("`klibby`, who signed statement `a.json`, is nobody who is at work"),
        "{refused}"
    );
}

#[test]
fn two_who_approved_in_two_places_are_two() {
    let mut second = request(2, &[1]);
    second.approvals = vec![Approving { by: "tnguyen".to_owned(), at: Some(at(4)) }];
    let case = Case::of(vec![request(1, &[1]), second]);
    let reviewed = case.review(&[quorum(&[1], 2, &["klibby", "tnguyen"])]).unwrap();
    assert_eq!(reviewed.covered[0].source, "acme/access!1, acme/access!2");
}

#[test]
fn invariant_3_who_wrote_what_was_held_before_base_does_not_approve_it() {
    let mut case = Case::of(vec![request(1, &[1])]);
    case.wrote = [(effect(1), vec![Some(commit("c0", "klibby@acme.com"))])].into();
    assert!(case.refused(quorum(&[1], 1, &["klibby"])).contains("wrote some of it"));
    case.wrote = [(effect(1), vec![None])].into();
    assert!(case.refused(quorum(&[1], 1, &["klibby"])).contains("Git does not tell who wrote"));
    case.wrote = [(effect(1), vec![Some(commit("c0", "mallory@acme.com"))])].into();
    assert!(case.review(&[quorum(&[1], 1, &["klibby"])]).is_ok());
}

#[test]
fn invariant_5_what_was_taken_back_is_approved_anew() {
    let first = request(1, &[1]);
    let mut back = request(2, &[]);
    (back.notes[0].edited, back.merged) = (at(6), Some(at(7)));
    let mut again = request(3, &[1]);
    (again.author, again.commits) = ("mallory".to_owned(), vec![commit("c1", "mallory@acme.com")]);
    (again.notes[0].edited, again.merged) = (at(8), Some(at(10)));
    again.approvals.clear();
    let mut case = Case::of(vec![first, back, again]);
    let refused = case.refused(quorum(&[1], 1, &["klibby"]));
    assert!(refused.contains("acme/access!2 took it back"), "{refused}");
    case.history.requests[2].approvals = vec![Approving { by: "klibby".to_owned(), at: Some(at(9)) }];
    let reviewed = case.review(&[quorum(&[1], 1, &["klibby"])]).unwrap();
    assert_eq!(reviewed.covered[0].source, "acme/access!3");
    // Nor does she who asks again approve it.
    assert!(reviewed.covered[0].asked.contains(&"mallory".to_owned()));
}

#[test]
fn invariant_5_a_note_of_more_than_it_can_name_shows_only_the_whole_of_it() {
    let mut many = request(1, &[]);
    many.notes[0].effect = Some(effect(77));
    let refused = Case::of(vec![many]).refused(quorum(&[1], 1, &["klibby"]));
    assert!(refused.contains("too many effects to name them"), "{refused}");
}

#[test]
fn invariant_2_all_who_have_to_approve_what_waits_did() {
    let infra = Quorum { queued: true, ..quorum(&[1], 1, &["klibby"]) };
    let tools = Quorum { queued: true, ..quorum(&[1], 1, &["mallory"]) };
    let case = Case::of(vec![request(1, &[1])]);
    assert_eq!(case.review(&[infra.clone(), tools]).unwrap().effects().count(), 0);
    assert_eq!(case.review(&[infra]).unwrap().effects().count(), 1);
}

#[test]
fn invariant_2_the_owners_of_each_role_that_a_change_comes_through_have_to_agree() {
    let role = |owner: &str| OwnedRole { owners: vec![owner.to_owned()], manager: false };
    let owners = Owners {
        roles: [("infra".into(), role("klibby")), ("tools".into(), role("mallory"))].into(),
        rest: vec!["rpatel".to_owned()],
    };
    let mut change = crate::gate::fixture::grant("okta:user/x", "okta:group/y");
    change.cause = Cause::Request;
    change.reason.role = Some("infra".into());
    change.reason.chain = vec!["role tools (members, entry 1)".to_owned()];
    let asked = ToApprove { changes: std::slice::from_ref(&change), held: &[], waived: &[], amended: &[] };
    let quorums = quorums(asked, &owners, &Inventory::default(), &Approvals::default());
    let of: BTreeSet<&[String]> = quorums.iter().map(|quorum| quorum.owners.as_slice()).collect();
    assert_eq!(of, [&["klibby".to_owned()][..], &["mallory".to_owned()][..]].into());
}
