//! Resources: what must be created, updated, deleted, adopted, let go.
//!
//! Invariant: a resource is deleted only if base declared it and head does not, or memory says that exactly this was
//! demanded and did not come true; never what cannot be made again. What an access entry merely names is created at most.
//! It must not hold anything: what must wait is [`super::hold`]'s.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::model::plan::Standing;
use crate::model::{
    Address, Attributes, Cause, Change, DemandState, DemandedField, Desired, Draft, Finding, LiveGrant, May,
    Op, Origin, Resource, Sensitivity, Value, named_by,
};

use super::facts::{Facts, Side};
use super::fields::{Difference, Sides, is_same};
use super::proposal::{Demanded, Proposal, cause, drift, put_back};
use super::tally::between;
use super::{IMMUTABLE, MASTERED, NOT_DELETED, NOT_OWNED};

/// The field of [`DemandedField`] that stands for the resource's existence.
pub(super) const EXISTENCE: &str = "";

static NOTHING: Attributes = Attributes::new();

/// What one side wants of a resource, whether it declares or merely names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) attributes: &'a Attributes,
    pub(super) declared: bool,
    pub(super) origin: &'a Arc<Origin>,
    pub(super) sensitivity: Sensitivity,
}

impl<'a> Asked<'a> {
    pub(super) fn of(desired: &'a Desired, address: &Address) -> Option<Self> {
        if let Some(wanted) = desired.resources.get(address) {
            return Some(Self {
                attributes: &wanted.attributes,
                declared: wanted.declared,
                origin: &wanted.origin,
                sensitivity: wanted.sensitivity,
            });
        }
        let origin = desired.named.get(address).filter(|_| !address.is_reserved())?;
        Some(Self { attributes: &NOTHING, declared: false, origin, sensitivity: Sensitivity::Low })
    }
}

/// All changes of resources, except drift that nobody asks to put back, which is told apart.
pub(super) fn compare(facts: &Facts<'_>, out: &mut Draft) -> Vec<Change> {
    let input = facts.input;
    let mut addresses: BTreeSet<&Address> =
        input.head.resources.keys().chain(input.head.named.keys()).collect();
    addresses.extend(input.base.into_iter().flat_map(|base| base.resources.keys()));
    // Without base, memory has nothing to say.
    let demand = input.demand.filter(|_| input.base.is_some()).map(|demand| &demand.resources);
    addresses.extend(demand.into_iter().flat_map(BTreeMap::keys));

    let mut changes = Vec::new();
    let mut vanished = Vec::new();
    for address in addresses {
        let base = input.base.and_then(|base| Asked::of(base, address));
        let this = One {
            facts,
            address,
            base,
            demand: demand.and_then(|demand| demand.get(address)),
            live: input.live.resources.get(address),
        };
        match Asked::of(input.head, address) {
            Some(head) => this.wanted(&head, &mut changes, out),
            None => vanished.push(this),
        }
    }
    let touched = Touched::of(facts, &vanished.iter().map(|this| this.address).collect());
    for this in vanished {
        match this.live {
            Some(live) => this.vanished(live, &touched, &mut changes, out),
            // What may be there and was not seen is not forgotten: its deletion waits until it can be read.
            None if !facts.would_be_seen(this.address) => {
                let mut unseen = Vec::new();
                this.vanished(&Resource::default(), &touched, &mut unseen, out);
                changes.extend(unseen.into_iter().filter(|change| change.op == Op::Delete));
            }
            None => {}
        }
    }
    changes
}

/// The edges on resources that nobody declares any more.
struct Touched<'a> {
    /// Those that head still grants on, or to.
    used: HashSet<&'a Address>,
    /// What is live on each.
    live: HashMap<&'a Address, Vec<&'a LiveGrant>>,
}

impl<'a> Touched<'a> {
    fn of(facts: &Facts<'a>, vanished: &HashSet<&'a Address>) -> Self {
        let mut vanished: Vec<&Address> = vanished.iter().copied().collect();
        vanished.sort();
        let (mut used, mut live) = (HashSet::new(), HashMap::<_, Vec<_>>::new());
        let head = &facts.input.head.grants;
        used.extend(head.from(vanished.iter().copied()).into_iter().map(|(_, end)| &end.principal));
        let resources = head.runs().iter().map(|run| &run.resource);
        used.extend(resources.filter(|resource| vanished.binary_search(resource).is_ok()));
        // A role of one's own is used by what binds it.
        let named = |relation: &str| {
            let named = named_by(relation)?;
            vanished.binary_search(&&named).ok().map(|at| vanished[at])
        };
        used.extend(head.runs().iter().filter_map(|run| named(&run.relation)));
        for run in facts.input.live.runs() {
            touching(run, &vanished, |end, grant| live.entry(end).or_default().push(grant));
            if let Some(role) = run.first().and_then(|first| named(&first.key.relation)) {
                live.entry(role).or_default().extend(run);
            }
        }
        Self { used, live }
    }
}

/// Calls `found` for each edge of a run that is on one of some things, or from one; most runs have none.
fn touching<'a>(
    run: &'a [LiveGrant],
    things: &[&'a Address],
    mut found: impl FnMut(&'a Address, &'a LiveGrant),
) {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return };
    if let Ok(at) = things.binary_search(&&first.key.resource) {
        run.iter().for_each(|edge| found(things[at], edge));
    }
    if let Some(things) = between(things, [&first.key.principal, &last.key.principal]) {
        for edge in run {
            if let Ok(at) = things.binary_search(&&edge.key.principal) {
                found(things[at], edge);
            }
        }
    }
}

/// One resource on all sides but head.
#[derive(Clone, Copy)]
struct One<'a, 'f> {
    facts: &'f Facts<'a>,
    address: &'a Address,
    base: Option<Asked<'a>>,
    demand: Option<&'a BTreeMap<crate::model::Name, DemandedField>>,
    live: Option<&'a Resource>,
}

impl<'a> One<'a, '_> {
    fn wanted(&self, head: &Asked<'a>, changes: &mut Vec<Change>, out: &mut Draft) {
        let may = self.facts.own(Side::Head, self.address);
        if head.declared && may == May::Look {
            let what = format!("`{}` is declared", self.address);
            out.findings.push(self.not_owned(head, &what, "leave it out of YAML"));
            return;
        }
        match self.live {
            None if may == May::All && self.can_be_made(head) => self.create(head, changes, out),
            None if head.declared => {
                let what = format!("`{}` is declared and does not exist", self.address);
                out.findings.push(self.not_owned(head, &what, "make it by hand"));
            }
            // Its grants are held as absent.
            None => {}
            Some(live) if head.declared => self.compare(head, live, may, changes, out),
            Some(_) => {}
        }
    }

    /// Whether what is asked for says all without which there is no such thing: a name alone does not make a policy.
    fn can_be_made(&self, head: &Asked<'a>) -> bool {
        let schema = self.facts.input.schemas.of(self.address);
        let mut required = schema.into_iter().flat_map(|s| &s.attributes).filter(|a| a.flags.required);
        head.declared || required.all(|attribute| head.attributes.contains_key(&attribute.name))
    }

    fn create(&self, head: &Asked<'a>, changes: &mut Vec<Change>, out: &mut Draft) {
        let same_as_base = self
            .base
            .is_some_and(|base| base.attributes == head.attributes && base.declared == head.declared);
        let existence = self.demand.and_then(|demand| demand.get(EXISTENCE));
        let demanded = existence.map(|field| Demanded {
            same: field.want != Value::Null,
            state: field.state,
            cause: field.cause,
        });
        let cause = cause(self.facts.input, same_as_base, demanded);
        if cause == Cause::Drift && !self.facts.would_be_seen(self.address) {
            return;
        }
        let after = self.sides(head, &NOTHING).created();
        let change = self.change(Op::Create, None, Some(after), BTreeSet::new(), cause, head);
        if cause != Cause::Drift && self.facts.was_deleted(self.address) {
            // That it is gone is drift; what head asks of it besides waits until it is there again.
            drift(Change { cause: Cause::Drift, ..change.clone() }, "removed by hand", out);
        }
        self.place(change, "removed by hand", changes, out);
    }

    fn compare(
        &self,
        head: &Asked<'a>,
        live: &'a Resource,
        may: May,
        changes: &mut Vec<Change>,
        out: &mut Draft,
    ) {
        let sides = self.sides(head, &live.attributes);
        let mut differences = sides.differences(self.facts.input);
        if may < May::All {
            // What YAML does not say is the schema's default, and no reason to touch what is not ours.
            differences.retain(|difference| !self.is_default(difference));
        }
        if let Some(first) = differences.first() {
            let names = names_of(&differences);
            if may < May::All {
                let what = format!("{names} of `{}` would change", self.address);
                out.findings.push(self.not_owned(head, &what, "leave that out of YAML"));
                return;
            }
            if let Some(why) = &live.mastered {
                let message = format!("{names} of `{}` cannot be changed: {why}", self.address);
                out.findings.push(
                    Finding::error(MASTERED, message)
                        .at(&head.origin.span)
                        .about(self.address)
                        .help(format!("leave `{}` out of YAML, or write what is live", first.name)),
                );
                return;
            }
        }
        let (fixed, differences): (Vec<_>, Vec<_>) = differences.into_iter().partition(|d| d.immutable);
        if !fixed.is_empty() {
            let message = format!("{} of `{}` cannot be changed in place", names_of(&fixed), self.address);
            out.findings.push(
                Finding::error(IMMUTABLE, message)
                    .at(&head.origin.span)
                    .about(self.address)
                    .help("declare it under a new name and delete the old one, or write what is live"),
            );
            return;
        }
        // Drift that the user asks to put back is a request; the rest is told apart, each as one update.
        let reverted = self.facts.input.revert.iter().any(|pattern| pattern.matches_address(self.address));
        let (drifted, moved): (Vec<_>, Vec<_>) =
            differences.into_iter().partition(|d| d.cause == Cause::Drift && !reverted);
        if moved.is_empty() {
            let declared_by_base = self.base.is_some_and(|base| base.declared);
            if drifted.is_empty() && !declared_by_base {
                let managed = sides.before();
                let fields = BTreeSet::new();
                let change = self.change(
                    Op::Adopt,
                    Some(managed.clone()),
                    Some(managed),
                    fields,
                    Cause::Request,
                    head,
                );
                changes.push(change);
            }
        } else {
            // One update a resource: with a request among its fields, all of it needs approval.
            let standing = moved.iter().all(|difference| difference.cause == Cause::Standing);
            let cause = if standing { Cause::Standing } else { Cause::Request };
            changes.push(self.update(&sides, &moved, cause, head));
        }
        if !drifted.is_empty() {
            drift(self.update(&sides, &drifted, Cause::Drift, head), "changed by hand", out);
        }
    }

    fn vanished(&self, live: &Resource, touched: &Touched<'a>, changes: &mut Vec<Change>, out: &mut Draft) {
        let declared = self.base.filter(|base| base.declared);
        let existence = self.demand.and_then(|demand| demand.get(EXISTENCE));
        // Demanded when a base of old declared it, and not come true since.
        let unfinished = existence.is_some_and(|field| {
            field.want == Value::Null && field.state != DemandState::True && field.cause == Cause::Request
        });
        let origin = match declared {
            Some(base) => Origin {
                text: format!("no longer declared; base declared it: {}", base.origin.text),
                ..(**base.origin).clone()
            },
            None if unfinished => Origin {
                text: "no longer declared; its deletion was approved and did not come true".to_owned(),
                span: crate::model::Span::file("rolecall.yaml"),
                chain: Vec::new(),
                role: None,
            },
            None => return,
        };
        let head_own = self.facts.own(Side::Head, self.address);
        let owned = head_own == May::All && self.facts.own(Side::Base, self.address) == May::All;
        let irreplaceable =
            self.facts.input.schemas.of(self.address).is_some_and(|schema| schema.irreplaceable);
        let used = touched.used.contains(self.address);
        let why = if irreplaceable {
            Some("it could not be made again; say `state:` in its document to end it".to_owned())
        } else if used {
            Some("head still grants on it or to it; remove those grants, or name it again".to_owned())
        } else {
            live.mastered.as_ref().map(|why| format!("nobody may: {why}"))
        };
        let deletes = owned && why.is_none();
        if let Some(why) = why.filter(|_| owned) {
            let message = format!("`{}` is no longer declared but is not deleted: {why}", self.address);
            out.findings.push(Finding::warning(NOT_DELETED, message).at(&origin.span).about(self.address));
        }
        let asked = declared.map_or(&NOTHING, |base| base.attributes);
        let managed = Sides {
            schema: self.facts.input.schemas.of(self.address),
            head: asked,
            base: None,
            demand: None,
            live: &live.attributes,
        };
        let dependents = if deletes { self.dependents(live, touched) } else { Vec::new() };
        let change = Proposal {
            op: if deletes { Op::Delete } else { Op::Forget },
            address: self.address,
            grant: None,
            before: Some(managed.before()),
            after: None,
            fields: BTreeSet::new(),
            dependents,
            cause: Cause::Request,
            reason: origin,
            until: None,
        };
        changes.push(change.into_change());
    }

    /// What goes with a deleted resource. Edges of those who are gone are revoked apart, since nothing may delay them.
    fn dependents(&self, live: &Resource, touched: &Touched<'a>) -> Vec<String> {
        let mut dependents = live.dependents.clone();
        for grant in touched.live.get(self.address).into_iter().flatten() {
            let person = self.facts.person(&grant.key.principal);
            let apart = person.is_some_and(|person| self.facts.gone(person).is_some()) && grant.via.is_none();
            if !(apart && self.facts.may_revoke(&grant.key, true)) {
                dependents.push(grant.key.to_string());
            }
        }
        dependents.sort();
        dependents
    }

    fn sides(&self, head: &Asked<'a>, live: &'a Attributes) -> Sides<'a> {
        Sides {
            schema: self.facts.input.schemas.of(self.address),
            head: head.attributes,
            base: self.base.filter(|base| base.declared).map(|base| base.attributes),
            demand: self.demand,
            live,
        }
    }

    fn is_default(&self, difference: &Difference) -> bool {
        let schema = self.facts.input.schemas.of(self.address);
        let attribute = schema.and_then(|schema| schema.attribute(&difference.name));
        let default = attribute.and_then(|attribute| attribute.default.as_ref());
        default.is_some() && is_same(attribute, difference.want.as_ref(), default)
    }

    fn update(
        &self,
        sides: &Sides<'a>,
        differences: &[Difference],
        cause: Cause,
        head: &Asked<'a>,
    ) -> Change {
        let fields = differences.iter().map(|difference| difference.name.clone()).collect();
        self.change(Op::Update, Some(sides.before()), Some(sides.after(differences)), fields, cause, head)
    }

    fn change(
        &self,
        op: Op,
        before: Option<Attributes>,
        after: Option<Attributes>,
        fields: BTreeSet<crate::model::Name>,
        cause: Cause,
        head: &Asked<'a>,
    ) -> Change {
        let reason = (**head.origin).clone();
        let (dependents, until) = (Vec::new(), None);
        let address = self.address;
        let mut change =
            Proposal { op, address, grant: None, before, after, fields, dependents, cause, reason, until }
                .into_change();
        if cause == Cause::Standing {
            change.standing = Some(if op == Op::Create { Standing::Joiner } else { Standing::Mover });
        }
        change
    }

    fn place(&self, mut change: Change, text: &str, changes: &mut Vec<Change>, out: &mut Draft) {
        if change.cause == Cause::Drift {
            match put_back(self.facts.input, &change) {
                Some(cause) => change.cause = cause,
                None => return drift(change, text, out),
            }
        }
        changes.push(change);
    }

    fn not_owned(&self, head: &Asked<'a>, what: &str, or_else: &str) -> Finding {
        let may = self.facts.may_only(self.address);
        Finding::error(NOT_OWNED, format!("{what}, but `own:` only lets rolecall {may}"))
            .at(&head.origin.span)
            .about(self.address)
            .help(format!("{}, or {or_else}", self.facts.own_entry(self.address, "all")))
    }
}

fn names_of(differences: &[Difference]) -> String {
    let name = |difference: &Difference| match &difference.key {
        Some(key) => format!("`{}.{key}`", difference.name),
        None => format!("`{}`", difference.name),
    };
    differences.iter().map(name).collect::<Vec<_>>().join(", ")
}
