//! A listener for whom the broker knows by name and password, over TLS, by certificates of an
//! authority that is made for the test; and another authority, which has signed nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::settings::Site;

/// Of an elliptic curve: made at once.
const NEW_KEY: [&str; 7] =
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

#[derive(Clone)]
pub(super) struct Secure {
    pub(super) port: u16,
    dir: PathBuf,
    user: String,
    password: String,
}

impl Secure {
    /// Makes the certificates in `dir`.
    pub(super) fn new(dir: &Path, port: u16, user: &str, password: &str) -> Secure {
        let secure = Secure { port, dir: dir.into(), user: user.into(), password: password.into() };
        secure.authority("authority");
        secure.authority("stranger");
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        let mut signed = secure.openssl();
        signed.args(["-keyout", "broker.key", "-out", "broker.crt", "-subj", "/CN=broker"]);
        signed.args(["-CA", "authority.pem", "-CAkey", "authority.key", "-addext", names]);
        run(signed.args(["-addext", "basicConstraints=critical,CA:FALSE"]));
        let read = |name| std::fs::read_to_string(dir.join(name)).expect("a file of openssl's");
        let both = read("broker.key") + &read("broker.crt");
        std::fs::write(dir.join("broker.pem"), both).expect("a file can be written");
        secure
    }

    fn authority(&self, name: &str) {
        let (key, subject) = (format!("{name}.key"), format!("/CN={name}"));
        let mut made = self.openssl();
        made.args(["-keyout", &key, "-subj", &subject, "-out"]).arg(self.certificate(name));
        run(&mut made);
    }

    fn openssl(&self) -> Command {
        let mut openssl = Command::new("openssl");
        openssl.args(NEW_KEY).args(["-days", "2"]).current_dir(&self.dir);
        openssl
    }

    pub(super) fn certificate(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.pem"))
    }

    /// By a name that the certificate is for.
    pub(super) fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Lines of a settings file, each in the place of an earlier one.
    pub(super) fn properties(&self, site: &Site) -> String {
        let Secure { user, password, .. } = self;
        let (broker, controller, secure) = (site.broker(), site.controller(), self.address());
        let keys = self.certificate("broker");
        let module = "org.apache.kafka.common.security";
        format!(
            "listeners=PLAINTEXT://{broker},SASL_SSL://{secure},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{broker},SASL_SSL://{secure}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config={module}.plain.PlainLoginModule required \
             user_{user}=\"{password}\";
ssl.keystore.type=PEM
ssl.keystore.location={}
",
            keys.display()
        )
    }

    /// What Kafka's tool needs, to know the password from the beginning.
    pub(super) fn scram(&self) -> String {
        format!("SCRAM-SHA-512=[name={},password={}]", self.user, self.password)
    }
}

fn run(command: &mut Command) {
    let out = command.output().expect("openssl is installed");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
