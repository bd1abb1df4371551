//! Managed policies and their versions.
//!
//! Invariant: at most five versions; the default one and what is attached cannot be deleted.

use serde_json::{Value as Json, json};

use super::super::world::IamPolicy;
use super::Problem;
use super::document::{self, Use};
use super::iam::{Answer, Iam, encoded, stamp};
use super::xml::Xml;

/// How long a managed policy may be.
const SIZE: usize = 6144;
/// How many versions it may have.
const VERSIONS: usize = 5;

/// AWS's own policies that exist, with their paths, besides those that the world names.
const MANAGED: [&str; 31] = [
    "AdministratorAccess",
    "AmazonDynamoDBFullAccess",
    "AmazonDynamoDBReadOnlyAccess",
    "AmazonEC2ContainerRegistryPowerUser",
    "AmazonEC2ContainerRegistryReadOnly",
    "AmazonEC2FullAccess",
    "AmazonEC2ReadOnlyAccess",
    "AmazonRDSFullAccess",
    "AmazonRDSReadOnlyAccess",
    "AmazonS3FullAccess",
    "AmazonS3ReadOnlyAccess",
    "AmazonSSMManagedInstanceCore",
    "AmazonSSMReadOnlyAccess",
    "AWSBillingReadOnlyAccess",
    "AWSCloudTrail_ReadOnlyAccess",
    "AWSLambda_FullAccess",
    "AWSLambda_ReadOnlyAccess",
    "AWSSupportAccess",
    "CloudWatchFullAccess",
    "CloudWatchLogsFullAccess",
    "CloudWatchLogsReadOnlyAccess",
    "CloudWatchReadOnlyAccess",
    "IAMFullAccess",
    "IAMReadOnlyAccess",
    "IAMUserChangePassword",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "SecurityAudit",
    "job-function/Billing",
    "job-function/SystemAdministrator",
    "job-function/ViewOnlyAccess",
];

impl Iam<'_> {
    /// The ARN of a policy as the world names it.
    pub(super) fn policy_arn(&self, reference: &str) -> String {
        match reference.strip_prefix("managed:") {
            Some(name) => format!("arn:aws:iam::aws:policy/{name}"),
            None => {
                let path = self.account().policies.get(reference).map_or("/", |policy| policy.path.as_str());
                self.arn("policy", path, reference)
            }
        }
    }

    /// How the world names a policy that exists.
    pub(super) fn policy_ref(&self, arn: &str) -> Result<String, Problem> {
        if let Some(name) = arn.strip_prefix("arn:aws:iam::aws:policy/") {
            let reference = format!("managed:{name}");
            let there = MANAGED.contains(&name) || self.world.aws.managed.contains(name);
            return if there || self.is_named(&reference) { Ok(reference) } else { Err(no_policy(arn)) };
        }
        self.own_policy(arn).map(|policy| policy.name.clone())
    }

    /// Whether something in the world holds a policy of AWS's own that is not in the list.
    fn is_named(&self, reference: &str) -> bool {
        self.world.aws.accounts.values().any(|it| {
            it.users
                .values()
                .any(|user| user.policies.contains(reference) || user.boundary.as_deref() == Some(reference))
                || it.groups.values().any(|group| group.policies.contains(reference))
                || it.roles.values().any(|role| {
                    role.policies.contains(reference) || role.boundary.as_deref() == Some(reference)
                })
        })
    }

    /// A policy of the account's own.
    pub(super) fn own_policy(&self, arn: &str) -> Result<&IamPolicy, Problem> {
        if !arn.starts_with("arn:aws:iam::") || !arn.contains(":policy/") {
            return Err(Problem::new(400, "InvalidInput", format!("ARN {arn} is not valid.")));
        }
        let policy = self.account().policies.get(arn.rsplit('/').next().unwrap_or_default());
        policy
            .filter(|policy| self.arn("policy", &policy.path, &policy.name) == arn)
            .ok_or_else(|| no_policy(arn))
    }

    fn own_policy_mut(&mut self) -> Result<&mut IamPolicy, Problem> {
        let arn = self.params.need("PolicyArn")?.to_owned();
        if arn.starts_with("arn:aws:iam::aws:policy/") {
            let message = "User is not authorized to change policies that AWS manages";
            return Err(Problem::new(403, "AccessDenied", message));
        }
        let name = self.own_policy(&arn)?.name.clone();
        self.account_mut().policies.get_mut(&name).ok_or_else(|| no_policy(&arn))
    }

    fn document(&self) -> Result<Json, Problem> {
        document::read(self.params.need("PolicyDocument")?, Use::Identity, SIZE, self.world)
    }

    pub(super) fn create_policy(&mut self) -> Answer {
        let name = self.params.name("PolicyName")?.to_owned();
        if self.account().policies.keys().any(|taken| taken.eq_ignore_ascii_case(&name)) {
            return Err(Problem::exists(format!(
                "A policy called {name} already exists. Duplicate names are not allowed."
            )));
        }
        let now = Some(self.moment.now);
        let policy = IamPolicy {
            id: self.new_id("ANPA", &name),
            path: self.params.path("Path")?.unwrap_or("/").to_owned(),
            description: self.params.text("Description").filter(|text| !text.is_empty()).map(str::to_owned),
            tags: self.params.tags()?,
            document: self.document()?,
            default: "v1".into(),
            last_version: 1,
            created: now,
            updated: now,
            name: name.clone(),
            ..IamPolicy::default()
        };
        self.account_mut().policies.insert(name.clone(), policy);
        self.policy_answer(&name)
    }

    pub(super) fn read_policy(&self) -> Answer {
        let arn = self.params.need("PolicyArn")?;
        let reference = self.policy_ref(arn)?;
        if reference.starts_with("managed:") {
            let mut xml = Xml::default();
            xml.node("Policy", |xml| self.managed(xml, &reference));
            return Ok(Some(xml.finish()));
        }
        self.policy_answer(&reference)
    }

    fn policy_answer(&self, name: &str) -> Answer {
        let policy = self.account().policies.get(name).ok_or_else(|| no_policy(name))?;
        let mut xml = Xml::default();
        xml.node("Policy", |xml| self.policy(xml, policy, true));
        Ok(Some(xml.finish()))
    }

    pub(super) fn delete_policy(&mut self) -> Answer {
        let policy = self.own_policy_mut()?;
        let (name, versions) = (policy.name.clone(), policy.versions.len());
        let (attached, bounding) = self.uses(&name);
        if attached + bounding > 0 {
            return Err(Problem::conflict("Cannot delete a policy attached to entities."));
        }
        if versions > 0 {
            return Err(Problem::conflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
            ));
        }
        self.account_mut().policies.remove(&name);
        Ok(None)
    }

    pub(super) fn create_version(&mut self) -> Answer {
        let default = self.params.is("SetAsDefault");
        self.own_policy_mut()?;
        let document = self.document()?;
        let now = self.moment.now;
        let policy = self.own_policy_mut()?;
        if policy.versions.len() + 1 >= VERSIONS {
            return Err(Problem::limit(format!(
                "A managed policy can have up to {VERSIONS} versions. Before you create a new version, you must delete an existing version."
            )));
        }
        policy.last_version += 1;
        let version = format!("v{}", policy.last_version);
        if default {
            let old = std::mem::replace(&mut policy.document, document);
            let old_version = std::mem::replace(&mut policy.default, version.clone());
            policy.versions.insert(old_version, old);
            policy.updated = Some(now);
        } else {
            policy.versions.insert(version.clone(), document);
        }
        let mut xml = Xml::default();
        xml.node("PolicyVersion", |xml| {
            xml.leaf("VersionId", &version);
            xml.leaf("IsDefaultVersion", if default { "true" } else { "false" });
            xml.leaf("CreateDate", &stamp(Some(now)));
        });
        Ok(Some(xml.finish()))
    }

    pub(super) fn set_default_version(&mut self) -> Answer {
        let version = self.params.need("VersionId")?.to_owned();
        let now = self.moment.now;
        let policy = self.own_policy_mut()?;
        if policy.default != version {
            let document = policy.versions.remove(&version).ok_or_else(|| no_version(&version))?;
            let old = std::mem::replace(&mut policy.document, document);
            let old_version = std::mem::replace(&mut policy.default, version);
            policy.versions.insert(old_version, old);
            policy.updated = Some(now);
        }
        Ok(None)
    }

    pub(super) fn delete_version(&mut self) -> Answer {
        let version = self.params.need("VersionId")?.to_owned();
        let policy = self.own_policy_mut()?;
        if policy.default == version {
            return Err(Problem::conflict("Cannot delete the default version of a policy."));
        }
        policy.versions.remove(&version).ok_or_else(|| no_version(&version))?;
        Ok(None)
    }

    pub(super) fn read_version(&self) -> Answer {
        let arn = self.params.need("PolicyArn")?;
        let wanted = self.params.need("VersionId")?;
        let managed;
        let (document, default) = if self.policy_ref(arn)?.starts_with("managed:") {
            managed = managed_document(arn);
            (&managed, wanted == "v1")
        } else {
            let policy = self.own_policy(arn)?;
            let default = policy.default == wanted;
            let document = if default { Some(&policy.document) } else { policy.versions.get(wanted) };
            (document.ok_or_else(|| no_version(wanted))?, default)
        };
        let mut xml = Xml::default();
        xml.node("PolicyVersion", |xml| version(xml, wanted, document, default));
        Ok(Some(xml.finish()))
    }

    pub(super) fn list_versions(&self) -> Answer {
        let policy = self.own_policy(self.params.need("PolicyArn")?)?;
        let items =
            versions(policy).into_iter().map(|(id, document, default)| (id.clone(), (id, document, default)));
        self.page(items, |xml, page| {
            xml.list("Versions", page, |xml, (id, _, default)| {
                xml.leaf("VersionId", id);
                xml.leaf("IsDefaultVersion", if default { "true" } else { "false" });
                xml.leaf("CreateDate", &stamp(policy.created));
            });
        })
    }

    /// How many things have a policy attached, and how many as their boundary.
    pub(super) fn uses(&self, reference: &str) -> (usize, usize) {
        let it = self.account();
        let users = it.users.values().map(|user| (&user.policies, user.boundary.as_deref()));
        let groups = it.groups.values().map(|group| (&group.policies, None));
        let roles = it.roles.values().map(|role| (&role.policies, role.boundary.as_deref()));
        users.chain(groups).chain(roles).fold((0, 0), |(attached, bounding), (policies, boundary)| {
            let here = usize::from(policies.contains(reference));
            (attached + here, bounding + usize::from(boundary == Some(reference)))
        })
    }
}

/// All versions of a policy, with whether each is the default.
pub(super) fn versions(policy: &IamPolicy) -> Vec<(&String, &Json, bool)> {
    let mut versions: Vec<_> = policy.versions.iter().map(|(id, document)| (id, document, false)).collect();
    versions.push((&policy.default, &policy.document, true));
    versions.sort_by_key(|(id, ..)| *id);
    versions
}

/// A version of a policy, with its document.
pub(super) fn version(xml: &mut Xml, id: &str, document: &Json, default: bool) {
    xml.leaf("Document", &encoded(document));
    xml.leaf("VersionId", id);
    xml.leaf("IsDefaultVersion", if default { "true" } else { "false" });
    xml.leaf("CreateDate", &stamp(None));
}

/// What stands in for the documents of AWS's own policies.
pub(super) fn managed_document(arn: &str) -> Json {
    let action = if arn.ends_with("AdministratorAccess") { "*" } else { "sts:GetCallerIdentity" };
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})
}

pub(super) fn no_policy(arn: &str) -> Problem {
    Problem::missing(format!("Policy {arn} does not exist or is not attachable."))
}

fn no_version(version: &str) -> Problem {
    Problem::missing(format!("Policy version {version} does not exist."))
}
