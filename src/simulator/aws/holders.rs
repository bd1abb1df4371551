//! What users, groups and roles hold alike: attached and inline policies, boundaries, tags.
//!
//! Invariant: quotas are AWS's; what is not there cannot be taken away.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::document::{self, Use};
use super::entities::cannot_be_found;
use super::iam::{Answer, Iam, Kind, encoded};
use super::query::too_many_tags;
use super::xml::Xml;
use super::{Problem, policies};

/// How many policies may be attached to one thing.
const ATTACHED: usize = 10;

/// A user, group or role, by what it holds.
struct Holder<'a> {
    policies: &'a mut BTreeSet<String>,
    inline: &'a mut BTreeMap<String, Json>,
    /// Groups have none.
    boundary: Option<&'a mut Option<String>>,
}

impl Iam<'_> {
    fn name_of(&self, kind: Kind) -> Result<String, Problem> {
        self.params.need(kind.param()).map(str::to_owned)
    }

    fn holder(&mut self, kind: Kind) -> Result<Holder<'_>, Problem> {
        let name = self.name_of(kind)?;
        let it = self.account_mut();
        let found = match kind {
            Kind::User => it.users.get_mut(&name).map(|it| Holder {
                policies: &mut it.policies,
                inline: &mut it.inline,
                boundary: Some(&mut it.boundary),
            }),
            Kind::Group => it.groups.get_mut(&name).map(|it| Holder {
                policies: &mut it.policies,
                inline: &mut it.inline,
                boundary: None,
            }),
            Kind::Role => it.roles.get_mut(&name).map(|it| Holder {
                policies: &mut it.policies,
                inline: &mut it.inline,
                boundary: Some(&mut it.boundary),
            }),
        };
        found.ok_or_else(|| cannot_be_found(kind, &name))
    }

    /// The attached and inline policies of something.
    fn held(&self, kind: Kind) -> Result<(&BTreeSet<String>, &BTreeMap<String, Json>), Problem> {
        let name = self.name_of(kind)?;
        Ok(match kind {
            Kind::User => self.find_user(&name).map(|it| (&it.policies, &it.inline))?,
            Kind::Group => self.find_group(&name).map(|it| (&it.policies, &it.inline))?,
            Kind::Role => self.find_role(&name).map(|it| (&it.policies, &it.inline))?,
        })
    }

    pub(super) fn attach(&mut self, kind: Kind) -> Answer {
        self.held(kind)?;
        let policy = self.policy_ref(self.params.need("PolicyArn")?)?;
        let holder = self.holder(kind)?;
        if holder.policies.len() >= ATTACHED && !holder.policies.contains(&policy) {
            let whose = kind.param().trim_end_matches("Name");
            return Err(Problem::limit(format!("Cannot exceed quota for PoliciesPer{whose}: {ATTACHED}")));
        }
        holder.policies.insert(policy);
        Ok(None)
    }

    pub(super) fn detach(&mut self, kind: Kind) -> Answer {
        let arn = self.params.need("PolicyArn")?.to_owned();
        self.held(kind)?;
        let policy = self.policy_ref(&arn)?;
        if !self.holder(kind)?.policies.remove(&policy) {
            return Err(Problem::missing(format!("Policy {arn} was not found.")));
        }
        Ok(None)
    }

    pub(super) fn list_attached(&self, kind: Kind) -> Answer {
        let (policies, _) = self.held(kind)?;
        let items = policies.iter().map(|policy| (policy.clone(), policy));
        self.page(items, |xml, page| self.attached(xml, "AttachedPolicies", page))
    }

    pub(super) fn put_inline(&mut self, kind: Kind) -> Answer {
        self.held(kind)?;
        let most = match kind {
            Kind::User => 2048,
            Kind::Group => 5120,
            Kind::Role => 10240,
        };
        let name = self.params.name("PolicyName")?.to_owned();
        let document = document::read(self.params.need("PolicyDocument")?, Use::Identity, most, self.world)?;
        self.holder(kind)?.inline.insert(name, document);
        Ok(None)
    }

    pub(super) fn read_inline(&self, kind: Kind) -> Answer {
        let (_, inline) = self.held(kind)?;
        let name = self.params.need("PolicyName")?;
        let document = inline.get(name).ok_or_else(|| no_inline(kind, name))?;
        let mut xml = Xml::default();
        xml.leaf(kind.param(), &self.name_of(kind)?);
        xml.leaf("PolicyName", name);
        xml.leaf("PolicyDocument", &encoded(document));
        Ok(Some(xml.finish()))
    }

    pub(super) fn delete_inline(&mut self, kind: Kind) -> Answer {
        let name = self.params.need("PolicyName")?.to_owned();
        match self.holder(kind)?.inline.remove(&name) {
            Some(_) => Ok(None),
            None => Err(no_inline(kind, &name)),
        }
    }

    pub(super) fn list_inline(&self, kind: Kind) -> Answer {
        let (_, inline) = self.held(kind)?;
        self.page(inline.keys().map(|name| (name.clone(), name)), |xml, page| {
            xml.node("PolicyNames", |xml| page.iter().for_each(|name| xml.leaf("member", name)));
        })
    }

    pub(super) fn put_boundary(&mut self, kind: Kind) -> Answer {
        self.held(kind)?;
        let policy = self.policy_ref(self.params.need("PermissionsBoundary")?)?;
        if let Some(boundary) = self.holder(kind)?.boundary {
            *boundary = Some(policy);
        }
        Ok(None)
    }

    pub(super) fn delete_boundary(&mut self, kind: Kind) -> Answer {
        let name = self.name_of(kind)?;
        match self.holder(kind)?.boundary.and_then(Option::take) {
            Some(_) => Ok(None),
            None => Err(Problem::missing(format!("The {} {name} has no permissions boundary.", kind.word()))),
        }
    }

    /// The tags of a user, a role, or (`None`) a policy.
    fn tags_mut(&mut self, kind: Option<Kind>) -> Result<&mut BTreeMap<String, String>, Problem> {
        let Some(kind) = kind else {
            let arn = self.params.need("PolicyArn")?.to_owned();
            let name = self.own_policy(&arn)?.name.clone();
            let policy = self.account_mut().policies.get_mut(&name);
            return policy.map(|policy| &mut policy.tags).ok_or_else(|| policies::no_policy(&arn));
        };
        let name = self.name_of(kind)?;
        let it = self.account_mut();
        let tags = match kind {
            Kind::User => it.users.get_mut(&name).map(|user| &mut user.tags),
            Kind::Role => it.roles.get_mut(&name).map(|role| &mut role.tags),
            Kind::Group => None,
        };
        tags.ok_or_else(|| cannot_be_found(kind, &name))
    }

    pub(super) fn tag(&mut self, kind: Option<Kind>) -> Answer {
        let new = self.params.tags()?;
        let tags = self.tags_mut(kind)?;
        let more = new.keys().filter(|key| !tags.contains_key(*key)).count();
        if tags.len() + more > 50 {
            return Err(too_many_tags());
        }
        tags.extend(new);
        Ok(None)
    }

    pub(super) fn untag(&mut self, kind: Option<Kind>) -> Answer {
        let keys: Vec<String> = self.params.list("TagKeys").into_iter().map(str::to_owned).collect();
        let tags = self.tags_mut(kind)?;
        for key in keys {
            tags.remove(&key);
        }
        Ok(None)
    }

    pub(super) fn list_tags(&self, kind: Option<Kind>) -> Answer {
        let tags = match kind {
            None => &self.own_policy(self.params.need("PolicyArn")?)?.tags,
            Some(Kind::User) => &self.find_user(&self.name_of(Kind::User)?)?.tags,
            Some(Kind::Role) => &self.find_role(&self.name_of(Kind::Role)?)?.tags,
            Some(Kind::Group) => return Err(cannot_be_found(Kind::Group, &self.name_of(Kind::Group)?)),
        };
        let items = tags.iter().map(|(key, value)| (key.clone(), (key, value)));
        self.page(items, |xml, page| {
            xml.list("Tags", page, |xml, (key, value)| {
                xml.leaf("Key", key);
                xml.leaf("Value", value);
            });
        })
    }
}

fn no_inline(kind: Kind, name: &str) -> Problem {
    Problem::missing(format!("The {} policy with name {name} cannot be found.", kind.word()))
}
