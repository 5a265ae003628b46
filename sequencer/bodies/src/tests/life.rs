//! The life of a folder by chance, against a twin that only remembers what was promised.

use super::*;

const PATIENTS: u32 = 12;

/// What is promised of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Promise {
    Opens,
    Erased,
    /// Its patient was to be erased, and that failed: either, and the same from then on.
    Unsure,
}

struct Life {
    folders: Folders,
    keys: BodyKeys,
    now: u64,
    bodies: Vec<(Body, Promise)>,
    random: blake3::OutputReader,
    is_faulty: bool,
}

impl Life {
    fn begin(seed: u64) -> Life {
        let folders = Folders::default();
        let keys = folders.open().unwrap();
        let random = blake3::hash(&seed.to_be_bytes());
        let random = blake3::Hasher::new_keyed(random.as_bytes()).finalize_xof();
        Life { folders, keys, now: 0, bodies: Vec::new(), random, is_faulty: false }
    }

    fn below(&mut self, limit: u32) -> u32 {
        let mut bytes = [0; 4];
        self.random.fill(&mut bytes);
        u32::from_be_bytes(bytes) % limit
    }

    /// One thing that happens. Only where the disk fails may anything be refused.
    fn step(&mut self) {
        let (patient, now) = (patient(self.below(PATIENTS)), at(self.now));
        match self.below(12) {
            0..=5 => match try_seal(&self.keys, patient, now) {
                Ok(body) => self.bodies.push((body, Promise::Opens)),
                Err(error) => assert!(self.is_faulty, "{error}"),
            },
            6 => self.destroy(patient),
            7 => self.now += u64::from(self.below(EPOCH_MS as u32)),
            8 => {
                let made = self.keys.make_ahead(now);
                assert!(self.is_faulty || made.is_ok(), "{made:?}");
            }
            9 => self.reopen(),
            10 => {
                let (_folder, secret) = secret();
                let backup = self.keys.backup(&secret.public(), now, now.plus(9));
                assert!(self.is_faulty || backup.is_ok(), "{backup:?}");
            }
            _ => {
                self.is_faulty = true;
                let call = 1 + self.below(9) as usize;
                let medium = [&self.folders.keys, &self.folders.beside];
                medium[usize::from(call.is_multiple_of(2))].fail_at(Some(call));
            }
        }
        self.check();
    }

    fn destroy(&mut self, patient: PatientIndex) {
        let destroyed = self.keys.destroy(&[patient], at(self.now));
        assert!(self.is_faulty || destroyed.is_ok(), "{destroyed:?}");
        let becomes = if destroyed.is_ok() { Promise::Erased } else { Promise::Unsure };
        let of = self.bodies.iter_mut().filter(|(body, _)| body.id.patient == patient);
        of.filter(|(_, was)| *was != Promise::Erased).for_each(|(_, was)| *was = becomes);
    }

    /// The disk is whole again, and so is what was promised.
    fn reopen(&mut self) {
        self.folders.keys.fail_at(None);
        self.folders.beside.fail_at(None);
        self.is_faulty = false;
        self.keys = self.folders.open().unwrap();
        for (body, promise) in &mut self.bodies {
            if *promise == Promise::Unsure {
                *promise = match open(&self.keys, body) {
                    Ok(_) => Promise::Opens,
                    Err(_) => Promise::Erased,
                };
            }
        }
    }

    fn check(&self) {
        for (body, promise) in &self.bodies {
            let (found, epoch) = (open(&self.keys, body), body.id.epoch.0);
            let erased = Err(BodyError::KeyDestroyed { epoch });
            match promise {
                Promise::Opens => assert_eq!(found.as_deref(), Ok(&b"readings"[..])),
                Promise::Erased => assert_eq!(found, erased),
                Promise::Unsure => assert!(found.is_ok() || found == erased, "{found:?}"),
            }
        }
    }
}

#[test]
fn whatever_happens_what_was_promised_of_a_body_holds() {
    let (mut erased, mut open) = (0, 0);
    for seed in 0..60 {
        let mut life = Life::begin(seed);
        (0..80).for_each(|_| life.step());
        life.reopen();
        life.check();
        let count = |promise| life.bodies.iter().filter(|(_, found)| *found == promise).count();
        (erased, open) = (erased + count(Promise::Erased), open + count(Promise::Opens));
    }
    assert!(erased > 300 && open > 300, "{erased} erased, {open} open");
}
