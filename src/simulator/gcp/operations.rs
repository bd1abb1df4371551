//! Operations: what is asked now and takes effect when its time has come.
//!
//! Invariant: what is under way is part of the world, and is carried out by the same code as what is done at once. What
//! is refused outright changes nothing; an operation that fails changes nothing but itself.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use super::super::order::{Moment, Order, Reply, Service};
use super::super::world::{GcpOperation, GcpOutcome, World};
use super::{Answer, Context, Path, Problem, text};

/// How long what came of an operation is told: Google says a few hours.
const TOLD: SignedDuration = SignedDuration::from_hours(6);

/// What an operation is, by what is asked: how its name begins, and what its metadata are.
fn kind(method: &str, words: &[&str], verb: &str) -> Option<(&'static str, &'static str)> {
    Some(match (method, words, verb) {
        ("POST", ["v3", "projects"], "") => ("cp", "CreateProjectMetadata"),
        ("PATCH", ["v3", "projects", _], "") => ("up", "UpdateProjectMetadata"),
        ("POST", ["v3", "projects", _], "move") => ("pm", "MoveProjectMetadata"),
        ("DELETE", ["v3", "projects", _], "") => ("dp", "DeleteProjectMetadata"),
        ("POST", ["v3", "projects", _], "undelete") => ("rp", "UndeleteProjectMetadata"),
        ("POST", ["v3", "folders"], "") => ("fc", "CreateFolderMetadata"),
        ("PATCH", ["v3", "folders", _], "") => ("fu", "UpdateFolderMetadata"),
        ("POST", ["v3", "folders", _], "move") => ("fm", "MoveFolderMetadata"),
        ("DELETE", ["v3", "folders", _], "") => ("fd", "DeleteFolderMetadata"),
        ("POST", ["v3", "folders", _], "undelete") => ("fr", "UndeleteFolderMetadata"),
        ("POST", ["v1", "projects", _, "services", _], "enable" | "disable")
        | ("POST", ["v1", "projects", _, "services"], "batchEnable") => ("acat", "OperationMetadata"),
        _ => return None,
    })
}

/// Carries out what is due; `true`: something was.
pub(in super::super) fn catch_up(world: &mut Arc<World>, now: Timestamp) -> bool {
    let mut changed = false;
    loop {
        let pending = world.gcp.operations.values().filter(|it| it.outcome.is_none() && it.at <= now);
        let Some(due) = pending.min_by_key(|it| (it.at, it.n)).cloned() else { return changed };
        changed = true;
        let order = Order {
            to: Service::Google,
            caller: String::new(),
            method: due.method,
            path: due.path,
            body: due.body,
        };
        let moment = Moment { now: due.at, n: due.n, ..Moment::default() };
        let outcome = Context { world, order: &order, moment: &moment }.effect();
        if let Some(operation) = Arc::make_mut(world).gcp.operations.get_mut(&due.name) {
            operation.outcome = Some(match outcome {
                Ok(response) => GcpOutcome::Response(response),
                Err(problem) => GcpOutcome::Error(problem.status()),
            });
        }
    }
}

impl Context<'_> {
    /// Begins an operation.
    pub(super) fn operate(&mut self) -> Answer {
        let Path { words, verb } = Path::of(self.order);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (start, _) = kind(&self.order.method, &words, &verb).ok_or_else(super::unknown)?;
        let seconds = i64::try_from(self.gcp().operation_seconds).unwrap_or(i64::MAX);
        let told = |outcome: Result<Json, Problem>| match outcome {
            Ok(response) => Ok(Some(GcpOutcome::Response(response))),
            Err(problem) if problem.late => Ok(Some(GcpOutcome::Error(problem.status()))),
            Err(problem) => Err(problem),
        };
        let (at, outcome) = if seconds == 0 {
            (self.moment.now, told(self.effect())?)
        } else {
            // Whether it would do is judged by what will be, once everything that is under way has come true.
            let mut later = Arc::clone(self.world);
            catch_up(&mut later, Timestamp::MAX);
            told(Context { world: &mut later, order: self.order, moment: self.moment }.effect())?;
            (
                self.moment.now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX),
                None,
            )
        };
        let operation = GcpOperation {
            name: format!("operations/{start}.{}", self.moment.n),
            at,
            n: self.moment.n,
            method: self.order.method.clone(),
            path: self.order.path.clone(),
            body: self.order.body.clone(),
            outcome,
        };
        let answer = shown(&operation);
        let now = self.moment.now;
        let operations = &mut self.gcp_mut().operations;
        operations.retain(|_, it| it.outcome.is_none() || now.duration_since(it.at) < TOLD);
        operations.insert(operation.name.clone(), operation);
        Ok(Reply::json(200, &answer))
    }

    pub(super) fn read_operation(&self, id: &str) -> Answer {
        let operation = self.gcp().operations.get(&format!("operations/{id}"));
        let operation = operation.ok_or_else(|| Problem::missing("Requested entity was not found."))?;
        Ok(Reply::json(200, &shown(operation)))
    }

    /// What an operation does, and what it answers in the end.
    pub(super) fn effect(&mut self) -> Result<Json, Problem> {
        let Path { words, verb } = Path::of(self.order);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let method = self.order.method.as_str();
        let (what, json) = match (method, words.as_slice(), verb.as_str()) {
            ("POST", ["v3", "projects"], "") => ("Project", self.create_project()?),
            ("PATCH", ["v3", "projects", id], "") => ("Project", self.update_project(id)?),
            ("POST", ["v3", "projects", id], "move") => ("Project", self.move_project(id)?),
            ("DELETE", ["v3", "projects", id], "") => ("Project", self.delete_project(id)?),
            ("POST", ["v3", "projects", id], "undelete") => ("Project", self.undelete_project(id)?),
            ("POST", ["v3", "folders"], "") => ("Folder", self.create_folder()?),
            ("PATCH", ["v3", "folders", id], "") => ("Folder", self.rename_folder(id)?),
            ("POST", ["v3", "folders", id], "move") => ("Folder", self.move_folder(id)?),
            ("DELETE", ["v3", "folders", id], "") => ("Folder", self.delete_folder(id)?),
            ("POST", ["v3", "folders", id], "undelete") => ("Folder", self.undelete_folder(id)?),
            ("POST", ["v1", "projects", ..], _) => return self.turn_services(&words, &verb),
            _ => return Err(super::unknown()),
        };
        Ok(typed(json, &format!("google.cloud.resourcemanager.v3.{what}")))
    }
}

/// A message as it stands where any could.
pub(super) fn typed(mut json: Json, name: &str) -> Json {
    json["@type"] = format!("type.googleapis.com/{name}").into();
    json
}

/// An operation as Google shows it.
fn shown(operation: &GcpOperation) -> Json {
    let order = Order {
        to: Service::Google,
        caller: String::new(),
        method: operation.method.clone(),
        path: operation.path.clone(),
        body: String::new(),
    };
    let Path { words, verb } = Path::of(&order);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut json = json!({"name": operation.name});
    if let Some((start, metadata)) = kind(&operation.method, &words, &verb) {
        let body: Json = serde_json::from_str(&operation.body).unwrap_or_default();
        let done = operation.outcome.is_some();
        let (module, data) = match start {
            "acat" => ("google.api.serviceusage.v1", json!({})),
            "cp" => (RESOURCES, json!({"gettable": done, "ready": done})),
            "fc" => {
                let data =
                    json!({"displayName": text(&body, "displayName"), "parent": text(&body, "parent")});
                (RESOURCES, data)
            }
            _ => (RESOURCES, json!({})),
        };
        json["metadata"] = typed(data, &format!("{module}.{metadata}"));
    }
    match &operation.outcome {
        Some(GcpOutcome::Response(response)) => {
            json["done"] = true.into();
            json["response"] = response.clone();
        }
        Some(GcpOutcome::Error(error)) => {
            json["done"] = true.into();
            json["error"] = error.clone();
        }
        None => {}
    }
    json
}

const RESOURCES: &str = "google.cloud.resourcemanager.v3";
