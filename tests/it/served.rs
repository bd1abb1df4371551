//! A simulated world over loopback HTTP, for a program that takes it for real.
//!
//! Invariant: it ends with the value that started it, and what is in it can be looked at without a call.

use rolecall::simulator::{Simulator, World};
use tokio::runtime::Runtime;

/// Serves a world for as long as this lives.
pub(crate) struct Served {
    pub(crate) simulator: Simulator,
    pub(crate) url: String,
    _runtime: Runtime,
}

impl Served {
    pub(crate) fn of(world: &str) -> Self {
        let simulator = Simulator::of(World::parse(world).unwrap()).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = simulator.clone();
        runtime.spawn(async move { served.serve(listener).await });
        Self { simulator, url, _runtime: runtime }
    }
}
