//! Three sites on networks of their own, joined by a bridge that is on none of this machine's.
//! Needs root; everything is made here and goes away with it.

use std::fs::File;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub struct Networks {
    prefix: String,
}

impl Networks {
    /// `None`, said once, where the system gives none.
    pub fn new() -> Option<Networks> {
        let networks = Networks { prefix: format!("click{}", std::process::id()) };
        if !ip(&["netns", "add", &networks.hub()]) {
            println!("skipped: no network namespaces here (they need root and `ip`)");
            return None;
        }
        let hub = networks.hub();
        must(&["-n", &hub, "link", "add", "bridge", "type", "bridge"]);
        must(&["-n", &hub, "address", "add", "10.211.0.254/24", "dev", "bridge"]);
        must(&["-n", &hub, "link", "set", "bridge", "up"]);
        must(&["-n", &hub, "link", "set", "lo", "up"]);
        (0..3).for_each(|site| networks.join(site));
        Some(networks)
    }

    fn join(&self, site: usize) {
        let (hub, own, (_, address)) = (self.hub(), self.name(site), self.site(site));
        let port = port(site);
        must(&["netns", "add", &own]);
        let pair = ["type", "veth", "peer", "name", "up0", "netns", &own];
        must(&[&["-n", &hub, "link", "add", &port], &pair[..]].concat());
        must(&["-n", &hub, "link", "set", &port, "master", "bridge", "up"]);
        must(&["-n", &own, "address", "add", &format!("{address}/24"), "dev", "up0"]);
        must(&["-n", &own, "link", "set", "up0", "up"]);
        must(&["-n", &own, "link", "set", "lo", "up"]);
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.prefix)
    }

    fn name(&self, site: usize) -> String {
        format!("{}-{site}", self.prefix)
    }

    /// Name and address of a site's network.
    pub fn site(&self, site: usize) -> (String, String) {
        (self.name(site), format!("10.211.0.{}", site + 1))
    }

    /// From now on nothing gets into the site or out of it, or everything does again.
    pub fn cut(&self, site: usize, cut: bool) {
        let state = if cut { "down" } else { "up" };
        must(&["-n", &self.hub(), "link", "set", &port(site), state]);
    }

    /// This thread, and what it starts, is where all sites can be reached from.
    pub fn enter(&self) {
        enter(&self.hub());
    }

    /// What `work` does on the site's network.
    pub fn within<T: Send>(&self, site: usize, work: impl FnOnce() -> T + Send) -> T {
        let name = self.name(site);
        std::thread::scope(|scope| {
            let done = scope.spawn(|| {
                enter(&name);
                work()
            });
            done.join().unwrap()
        })
    }

    /// A program on the site's network.
    pub fn command(&self, site: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(site), program]);
        command
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in [self.name(0), self.name(1), self.name(2), self.hub()] {
            ip(&["netns", "del", &name]);
        }
    }
}

fn port(site: usize) -> String {
    format!("port{site}")
}

fn enter(name: &str) {
    let network = File::open(format!("/run/netns/{name}")).unwrap();
    let network = std::os::fd::AsFd::as_fd(&network);
    move_into_link_name_space(network, Some(LinkNameSpaceType::Network)).unwrap();
}

fn must(args: &[&str]) {
    assert!(ip(args), "ip {} failed", args.join(" "));
}

fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).output().is_ok_and(|output| output.status.success())
}
