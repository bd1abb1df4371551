//! Small plans of every sort of change, with each text from [`Texts`].
//!
//! Invariant: what there is and how many follows from the seed alone, never from a text.

use std::collections::BTreeSet;

use rolecall::model::plan::{PLAN_FORMAT, Standing};
use rolecall::model::{
    Address, Attributes, Basis, Cause, Change, Digest, Drift, Finding, GrantKey, Held, Level, Name, Op,
    Origin, Plan, ProviderBasis, Quorum, Risk, Ruling, Selection, Span, Summary, Tally, Value, Waived, Why,
};

use super::texts::{Rng, Texts};

const OPS: [Op; 7] = [Op::Create, Op::Update, Op::Delete, Op::Grant, Op::Revoke, Op::Adopt, Op::Forget];
const RISKS: [Risk; 3] = [Risk::Low, Risk::Medium, Risk::High];
const CAUSES: [Cause; 4] = [Cause::Request, Cause::Request, Cause::Standing, Cause::Drift];
const STANDINGS: [Standing; 4] = [Standing::Joiner, Standing::Mover, Standing::Leaver, Standing::Expiry];
const WHYS: [Why; 13] = [
    Why::Protected,
    Why::OwnAccess,
    Why::LastAdmin,
    Why::Separation,
    Why::Capped,
    Why::Empty,
    Why::Guardrail,
    Why::Frozen,
    Why::Incomplete,
    Why::Absent,
    Why::Identity,
    Why::Pending,
    Why::Queued,
];
const LEVELS: [Level; 3] = [Level::Error, Level::Warning, Level::Info];
/// So long that no list stands on one line, whatever else is in it.
const LONG: &str = "an-item-that-is-longer-than-what-stands-on-one-line";

struct Maker<'a> {
    rng: Rng,
    texts: &'a mut Texts,
    /// Whether even names of providers are hostile; never where the whole is drift.
    places: bool,
}

impl Maker<'_> {
    fn text(&mut self) -> String {
        self.texts.text()
    }

    /// A text that is not empty.
    fn name(&mut self) -> Name {
        let text = self.text();
        if text.trim().is_empty() { "n".into() } else { text.into() }
    }

    fn some<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.rng.below(most + 1)).map(|_| make(self)).collect()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.rng.once_in(2).then(|| make(self))
    }

    fn span(&mut self) -> Span {
        let (line, column) = (u32::from(!self.rng.once_in(3)), u32::from(self.rng.once_in(2)));
        Span { file: self.name(), line, column, length: 1 }
    }

    fn origin(&mut self) -> Origin {
        Origin {
            text: self.text(),
            span: self.span(),
            chain: self.some(1, Self::text),
            role: self.maybe(Self::name),
        }
    }

    fn address(&mut self) -> Address {
        let place = if self.places { self.name() } else { self.rng.pick(&["okta", "aws"]).into() };
        let scope = self.rng.once_in(3).then(|| self.name());
        let kind = if self.rng.once_in(2) { "group".into() } else { self.name() };
        Address::new(&place, scope.as_deref(), &kind, &self.name())
    }

    fn value(&mut self) -> Value {
        match self.rng.below(6) {
            0 => Value::List(vec![LONG.into(), self.text().into(), self.text().into()]),
            1 => Value::map([(self.name(), self.text())]),
            2 => Value::map([(self.name(), Value::List(vec![LONG.into(), self.text().into()]))]),
            3 => Value::Int(7),
            _ => self.text().into(),
        }
    }

    fn attributes(&mut self) -> Attributes {
        if self.rng.once_in(20) {
            // Longer than what is shown at once.
            let lines = (0..30).map(|n| if n % 10 == 0 { self.text().into() } else { LONG.into() }).collect();
            return Attributes::from([("document".into(), Value::List(lines))]);
        }
        (0..=self.rng.below(2)).map(|_| (self.name(), self.value())).collect()
    }

    fn change(&mut self) -> Change {
        let op = self.rng.pick(&OPS);
        let address = self.address();
        let is_edge = matches!(op, Op::Grant | Op::Revoke) || (!op.writes() && self.rng.once_in(2));
        let grant = is_edge.then(|| {
            let relation = if self.rng.once_in(2) { "member".into() } else { self.name() };
            let condition = self.rng.once_in(3).then(|| self.name());
            GrantKey { condition, ..GrantKey::new(&self.address(), &relation, &address) }
        });
        let subject = if is_edge { self.maybe(|maker| Address::person(&maker.name())) } else { None };
        let (mut before, mut after) = (self.maybe(Self::attributes), self.maybe(Self::attributes));
        let mut fields = BTreeSet::new();
        if op == Op::Update && self.rng.once_in(2) {
            // The same names with other values, so that there is something to compare.
            let both = self.some(2, |maker| (maker.name(), maker.value(), maker.value()));
            fields = both.iter().map(|(name, ..)| name.clone()).collect();
            before = Some(both.iter().map(|(name, old, _)| (name.clone(), old.clone())).collect());
            after = Some(both.into_iter().map(|(name, _, new)| (name, new)).collect());
        }
        let mut change = Change {
            op,
            address,
            grant,
            subject,
            before,
            after,
            fields,
            cause: self.rng.pick(&CAUSES),
            standing: self.rng.once_in(2).then_some(self.rng.pick(&STANDINGS)),
            reason: self.origin(),
            also: self.some(1, Self::origin),
            until: self.rng.once_in(4).then(|| "2027-02-01T00:00:00Z".parse().unwrap()),
            risk: self.rng.pick(&RISKS),
            risk_reasons: self.some(2, Self::text),
            requires: BTreeSet::new(),
            dependents: self.some(2, Self::text),
            precondition: Digest::of(&()),
            effect: Digest::of(&()),
            approved_by: self.maybe(Self::text),
            taken_over: self.rng.once_in(8),
        };
        change.effect = change.own_effect();
        change
    }

    /// One change, or one for many.
    fn changes(&mut self) -> Vec<Change> {
        let first = self.change();
        let Some(grant) = first.grant.clone().filter(|_| self.rng.once_in(4)) else { return vec![first] };
        let many = if self.rng.once_in(3) { 10 } else { 2 };
        let likeness = |_| {
            let mut change = first.clone();
            // A number in each, so that all are different ones.
            let principal = Address::new("okta", None, "user", &self.name());
            change.grant = Some(GrantKey { principal, ..grant.clone() });
            change.effect = change.own_effect();
            change
        };
        (0..many).map(likeness).collect()
    }

    fn held(&mut self) -> Held {
        let remedy = self.maybe(|maker| {
            let rest = maker.some(2, Self::text).join("\n");
            if maker.rng.once_in(2) { format!("kind: Waiver\nname: {rest}") } else { rest }
        });
        // Documents that are equal are told once, so what parts them would change what there is to tell.
        let remedy = remedy.map(|text| text.replace("---\n", "- - -\n"));
        Held { why: self.rng.pick(&WHYS), text: self.text(), remedy, change: self.change() }
    }

    fn drift(&mut self) -> Drift {
        let places = std::mem::take(&mut self.places);
        let change = self.change();
        self.places = places;
        Drift { id: format!("{:08x}", self.rng.below(1 << 32)), change, text: self.text() }
    }

    fn finding(&mut self) -> Finding {
        Finding {
            code: self.name(),
            level: self.rng.pick(&LEVELS),
            message: self.text(),
            span: self.maybe(Self::span),
            subject: self.maybe(Self::text),
            help: self.maybe(Self::text),
            instead: None,
            notes: self.some(2, Self::text),
        }
    }

    fn waived(&mut self) -> Waived {
        let mut waived = Waived {
            name: self.text(),
            code: self.name(),
            on: self.some(2, Self::text).into_iter().collect(),
            allow: self.rng.once_in(2).then_some(12),
            owner: self.text(),
            reason: self.text(),
            until: "2026-11-30T08:00:00Z".parse().unwrap(),
            span: self.span(),
            lets: self.some(2, Self::text),
            effect: Digest::of(&()),
        };
        waived.effect = waived.own_effect();
        waived
    }

    fn tally(&mut self) -> Tally {
        Tally {
            resources: self.some(2, |maker| (maker.text(), 2)).into_iter().collect(),
            grants: self.some(1, |maker| (maker.text(), 1)).into_iter().collect(),
            examples: self.some(3, Self::text),
        }
    }

    fn quorum(&mut self, effects: &[Digest]) -> Quorum {
        Quorum {
            risk: self.rng.pick(&RISKS),
            needed: 1,
            owners: self.some(2, Self::text),
            managers: self.some(1, Self::name),
            effects: effects.iter().take(1 + self.rng.below(3)).cloned().collect(),
            of: self.some(2, Self::text),
            impossible: self.rng.once_in(4).then(|| self.text()),
            queued: self.rng.once_in(4),
        }
    }

    fn basis(&mut self) -> Basis {
        let provider = |maker: &mut Self| {
            let partial = maker.some(1, |maker| (maker.name(), maker.text())).into_iter().collect();
            (maker.name(), ProviderBasis { snapshot: Digest::of(&()), partial, scopes: 2, calls: 3 })
        };
        Basis {
            commit: self.maybe(Self::text),
            config: self.text(),
            base_config: self.maybe(Self::text),
            providers: self.some(2, provider).into_iter().collect(),
        }
    }

    fn selection(&mut self) -> Selection {
        Selection {
            at: self.rng.once_in(16).then(|| "2026-12-01T00:00:00Z".parse().unwrap()),
            directory: self.rng.once_in(8).then(|| self.text()),
            contain: self.rng.once_in(8).then(|| self.name()),
            ..Selection::default()
        }
    }
}

/// The plan of a seed.
pub(super) fn plan(seed: u64, texts: &mut Texts) -> Plan {
    let mut rng = Rng::of(seed);
    let places = rng.once_in(6);
    let mut maker = Maker { rng, texts, places };
    let changes: Vec<Change> = maker.some(3, Maker::changes).into_iter().flatten().collect();
    let (held, waived) = (maker.some(2, Maker::held), maker.some(2, Maker::waived));
    let (effects, effect) = Plan::effects_of(&changes, &held, &waived, &[]);
    let quorums = maker.some(2, |maker| maker.quorum(&effects));
    Plan {
        format: PLAN_FORMAT.to_owned(),
        id: maker.text(),
        created: "2026-11-22T05:00:00Z".parse().unwrap(),
        expires: "2026-11-29T05:00:00Z".parse().unwrap(),
        tool: maker.text(),
        base: maker.basis(),
        summary: Summary::of(&changes),
        drift: maker.some(3, Maker::drift),
        unmanaged: maker.tally(),
        unclaimed: maker.tally(),
        findings: maker.some(3, Maker::finding),
        verdict: if maker.rng.once_in(3) { Ruling::Denied } else { Ruling::Allowed },
        complete: !maker.rng.once_in(3),
        simulated: maker.rng.once_in(4),
        selection: maker.selection(),
        zone: String::new(),
        quorums,
        changes,
        held,
        amended: Vec::new(),
        waived,
        effect,
        effects,
    }
}
