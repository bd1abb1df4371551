//! `rolecall simulate`: the simulated world of an access repo, served on loopback for other tools to talk to.

use std::path::PathBuf;

use super::session::{load, open_world};
use super::{Exit, Failure, repo_or_here, say};
use crate::model::{Code, Finding};
use crate::providers;
use crate::simulator::Simulator;

/// The simulator cannot be served.
const NOT_SERVED: Code = Code { code: "RC503", title: "the simulator cannot be served" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[NOT_SERVED];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The access repo
    repo: Option<PathBuf>,
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8090)]
    port: u16,
}

pub(super) async fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let root = repo_or_here(arguments.repo.as_ref());
    let tree = load(&root, &providers::registry())?;
    let Some(world) = &tree.settings.simulate else {
        let finding = Finding::error(NOT_SERVED, "this access repo is not simulated");
        return Err(finding.help("`simulate: world.yaml` in `rolecall.yaml` makes it so").into());
    };
    let simulator = open_world(&root, &world.value, Simulator::open)?;
    let refuse = |error: std::io::Error| {
        Finding::error(NOT_SERVED, format!("port {} cannot be served: {error}", arguments.port))
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", arguments.port)).await.map_err(refuse)?;
    let address = listener.local_addr().map_err(refuse)?;
    say(&format!(
        "okta: OKTA_API_TOKEN=any, url http://{address}\naws:  AWS_ENDPOINT_URL=http://{address}\n"
    ));
    tokio::select! {
        served = simulator.serve(listener) => served.map_err(refuse)?,
        _ = tokio::signal::ctrl_c() => {}
    }
    simulator.close().map_err(|error| error.finding())?;
    Ok(Exit::Success)
}
