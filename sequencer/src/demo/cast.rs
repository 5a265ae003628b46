//! Who plays: keys, certificates and connections of the seeded world.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use client::{Connection, ConnectionConfig, Deployment, Identity, Key, KeyKind, Wallet};
use files::Audience;
use model::{Clock, GatewayId, ManualClock, Millis, OperatorId, Party, WalletId};
use statement::scope;
use tokio::sync::Mutex;
use wire::{RegistryChange, RegistryRecord, Role};
use world::World;

use super::expect::{DemoError, Step};
use crate::folder::authority::{Authority, ClientDeployment};
use crate::node::Node;
use crate::node::setup::certificates_valid;
use crate::stages::ledger::Item;

/// Secret of the demo's registrar: a constant, like everything of a development chain.
const REGISTRAR_SECRET: [u8; 32] = *b"the registrar of the demo's ward";

/// The registrar's key: pinned in the contract, signs enrolments.
pub(crate) fn registrar_key() -> Key {
    Key::from_secret(KeyKind::Registrar, REGISTRAR_SECRET)
}

/// A patient with key and wallet.
pub(super) struct Patient {
    pub(super) key: Key,
    pub(super) wallet: Mutex<Wallet>,
    pub(super) device: usize,
}

/// The world with its connections.
pub(super) struct Cast {
    pub(super) world: World,
    pub(super) patients: Vec<Patient>,
    /// Of the world, in its order; empty until they are connected.
    pub(super) gateways: Vec<Connection>,
    pub(super) practitioners: Vec<(Key, Connection)>,
    pub(super) wallet: Connection,
    pub(super) operator: Connection,
    pub(super) identities: PathBuf,
    pub(super) clock: Arc<ManualClock>,
}

/// Issues identities and opens connections.
struct Doorman<'a> {
    step: Step,
    node: &'a Node,
    authority: Authority,
    folder: PathBuf,
    clock: Arc<ManualClock>,
}

impl Cast {
    /// Registers the world at the node and connects everybody but the gateways.
    pub(super) async fn assemble(
        node: &Node,
        dir: &Path,
        world: World,
        clock: Arc<ManualClock>,
    ) -> Result<Cast, DemoError> {
        let step = Step("registry");
        let authority = step.ok(Authority::load(&node.layout().authority()))?;
        let folder = dir.join("identities");
        let doorman = Doorman { step, node, authority, folder, clock: clock.clone() };
        let now = clock.now();
        // Organisations first: what is registered later names them. A gateway's certificate is
        // registered before it connects, otherwise it is turned away.
        doorman.register_organisations(&world).await?;
        for gateway in &world.gateways {
            doorman.register_gateway(gateway, now).await?;
        }
        doorman.register_devices(&world).await?;
        let mut practitioners = Vec::new();
        for practitioner in &world.practitioners {
            practitioners.push(doorman.connect_practitioner(practitioner, now).await?);
        }
        let wallet = doorman.connect_wallet("ward-wallet", now).await?;
        let operator = doorman.connect_operator("admissions", now).await?;
        let scope = node.deployment().scope();
        let patient = |patient: &world::Patient| Patient {
            key: Key::from_secret(KeyKind::Patient, patient.secret),
            wallet: Mutex::new(Wallet::new(scope, patient.index)),
            device: patient.device,
        };
        let patients = world.patients.iter().map(patient).collect();
        let (identities, gateways) = (doorman.folder, Vec::new());
        Ok(Cast { world, patients, gateways, practitioners, wallet, operator, identities, clock })
    }

    /// Connects every gateway.
    pub(super) async fn connect_gateways(&mut self, node: &Node) -> Result<(), DemoError> {
        let at = At { node, identities: &self.identities, clock: &self.clock };
        for gateway in &self.world.gateways {
            self.gateways.push(at.open(Step("gateways"), gateway.id.as_str()).await?);
        }
        Ok(())
    }

    /// Writes everybody's key, the patients' records, and who streams what.
    pub(super) async fn write_keys(&self, dir: &Path) -> Result<(), DemoError> {
        let step = Step("keys");
        let keys = dir.join("keys");
        step.io(&keys, files::make_folder(&keys, Audience::Owner))?;
        step.ok(registrar_key().write(&keys.join("registrar.key")))?;
        let mut assignments = String::new();
        for (n, patient) in self.patients.iter().enumerate() {
            let path = keys.join(format!("patient-{}.key", n + 1));
            step.ok(patient.key.write(&path))?;
            let mut wallet = patient.wallet.lock().await;
            // Records hold hashes; without names the printed rules would be hashes too.
            let device = &self.world.devices[patient.device];
            self.introduce(&mut wallet, device);
            step.ok(wallet.write(&Wallet::path(&path)))?;
            drop(wallet);
            let gateway = self.world.gateways[device.gateway].id.as_str();
            let line = serde_json::json!({
                "identity": self.identities.join(gateway),
                "device": device.id.as_str(),
                "patient": self.world.patients[n].index.get(),
                "signal": device.signals[0].name,
            });
            assignments += &format!("{line}\n");
        }
        for (practitioner, (key, _)) in self.world.practitioners.iter().zip(&self.practitioners) {
            step.ok(key.write(&keys.join(format!("{}.key", practitioner.id))))?;
        }
        let path = dir.join("assignments.json");
        step.io(&path, files::create(&path, assignments.as_bytes(), Audience::Owner))
    }

    /// Tells a wallet the names that it may meet, so that it can print rules and claims in words.
    fn introduce(&self, wallet: &mut Wallet, own: &world::Device) {
        let world = &self.world;
        let mut learn = |text: String, word| wallet.names.learn(&text, &Party::Named(word));
        for id in &world.organisations {
            learn(format!("organisation:{id}"), scope::organisation(id));
        }
        for one in &world.practitioners {
            learn(format!("practitioner:{}", one.id), scope::practitioner(&one.id));
        }
        learn(format!("device:{}", own.id), scope::device(&own.id));
    }

    /// Everybody says goodbye.
    pub(super) async fn leave(self) {
        for gateway in self.gateways {
            gateway.close().await;
        }
        for (_, practitioner) in self.practitioners {
            practitioner.close().await;
        }
        self.wallet.close().await;
        self.operator.close().await;
    }
}

impl Doorman<'_> {
    async fn register(&self, record: RegistryRecord) -> Result<(), DemoError> {
        let change = Item::Registry(RegistryChange::Add(record));
        self.step.ok(self.node.submit(change).await).map(drop)
    }

    async fn register_organisations(&self, world: &World) -> Result<(), DemoError> {
        for id in &world.organisations {
            self.register(RegistryRecord::Organisation { id: id.clone() }).await?;
        }
        Ok(())
    }

    async fn register_devices(&self, world: &World) -> Result<(), DemoError> {
        for patient in &world.patients {
            let device = &world.devices[patient.device];
            self.register(RegistryRecord::Device {
                id: device.id.clone(),
                organisation: world.gateways[device.gateway].organisation.clone(),
                patient: patient.index,
                signals: device.signals.iter().map(|signal| signal.code).collect(),
                gateways: vec![world.gateways[device.gateway].id.clone()],
            })
            .await?;
        }
        Ok(())
    }

    async fn register_gateway(
        &self,
        gateway: &world::Gateway,
        now: Millis,
    ) -> Result<(), DemoError> {
        let (role, name) = (Role::Gateway, gateway.id.as_str());
        let fingerprint = self.issue(role, name, now)?;
        self.register(RegistryRecord::Gateway {
            id: GatewayId::clone(&gateway.id),
            organisation: gateway.organisation.clone(),
            fingerprint,
            valid: certificates_valid(now),
        })
        .await
    }

    async fn connect_practitioner(
        &self,
        practitioner: &world::Practitioner,
        now: Millis,
    ) -> Result<(Key, Connection), DemoError> {
        let key = Key::from_secret(KeyKind::Practitioner, practitioner.secret);
        let fingerprint = self.issue(Role::Practitioner, practitioner.id.as_str(), now)?;
        self.register(RegistryRecord::Practitioner {
            id: practitioner.id.clone(),
            organisation: practitioner.organisation.clone(),
            public_key: key.public().encode(),
            fingerprint,
            valid: certificates_valid(now),
        })
        .await?;
        Ok((key, self.open(practitioner.id.as_str()).await?))
    }

    async fn connect_wallet(&self, name: &str, now: Millis) -> Result<Connection, DemoError> {
        let fingerprint = self.issue(Role::Wallet, name, now)?;
        let (id, valid) = (self.step.ok(WalletId::new(name))?, certificates_valid(now));
        self.register(RegistryRecord::Wallet { id, fingerprint, valid }).await?;
        self.open(name).await
    }

    async fn connect_operator(&self, name: &str, now: Millis) -> Result<Connection, DemoError> {
        let fingerprint = self.issue(Role::Operator, name, now)?;
        let (id, valid) = (self.step.ok(OperatorId::new(name))?, certificates_valid(now));
        self.register(RegistryRecord::Operator { id, fingerprint, valid }).await?;
        self.open(name).await
    }

    fn issue(&self, role: Role, name: &str, now: Millis) -> Result<[u8; 32], DemoError> {
        let issued = self.authority.issue_client(role, name, certificates_valid(now));
        let issued = self.step.ok(issued)?;
        let (deployment, at) = (self.node.deployment(), self.node.endpoints().ingest);
        let names = [String::from("localhost")];
        let deployment = self.step.ok(ClientDeployment::of_node(deployment, at, &names))?;
        self.step.ok(issued.write_client(&self.folder.join(name), &deployment))?;
        Ok(issued.fingerprint())
    }

    async fn open(&self, name: &str) -> Result<Connection, DemoError> {
        let at = At { node: self.node, identities: &self.folder, clock: &self.clock };
        at.open(self.step, name).await
    }
}

/// Where connections go, and what they are made with.
struct At<'a> {
    node: &'a Node,
    identities: &'a Path,
    clock: &'a Arc<ManualClock>,
}

impl At<'_> {
    async fn open(&self, step: Step, name: &str) -> Result<Connection, DemoError> {
        let folder = self.identities.join(name);
        let identity = step.ok(Identity::load(&folder))?;
        let deployment = step.ok(Deployment::load(&folder))?;
        let address = self.node.endpoints().ingest;
        let mut config = ConnectionConfig::new(address, "localhost", identity, deployment);
        config.clock = self.clock.clone();
        step.ok(Connection::connect(config).await)
    }
}
