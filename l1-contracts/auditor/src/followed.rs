//! A deployment followed from its genesis to what the contract stores now: what stands before
//! anything is said of single batches.

use std::sync::Arc;

use l1_contracts::Patience;
use model::BatchHeader;
use statement::batch::PublicFile;

use crate::broken::Fault;
use crate::chain::{self, History};
use crate::check::{self, BatchContext, Context, Previous, Settled};
use crate::place::Place;
use crate::progress::{Progress, Quiet};

/// Every settled batch of a deployment, in a row that was checked.
pub(crate) struct Followed<'a> {
    place: Place<'a>,
    patience: Patience,
    pub(crate) context: Context,
    pub(crate) history: History,
}

impl<'a> Followed<'a> {
    /// Reads all headers, since one batch means something only as part of the row from genesis.
    pub(crate) async fn read(place: Place<'a>) -> Result<Followed<'a>, Fault> {
        let progress: Arc<dyn Progress> = Arc::new(Quiet);
        let patience = chain::patience(&progress);
        let edge = chain::connect(place, patience.clone()).await?;
        let context = check::deployment(place.deployment, &chain::constants(&edge).await?)?;
        let history = chain::history(&edge, chain::Before::default(), progress.as_ref()).await?;
        // Without a threshold, since lateness is not shown here.
        let lateness = check::headers(&context.genesis, &history.settled, u64::MAX)?;
        // The row must end where the contract does: it could be that of a node that stopped long
        // ago.
        let last = history.settled.last().map(|settled| &settled.batch.header);
        let last = last.map_or_else(|| context.genesis.clone(), |h| Previous::after(h, None));
        check::head(&history.state, &last, lateness)?;
        Ok(Followed { place, patience, context, history })
    }

    /// A settled batch by its number, if there is one.
    pub(crate) fn batch(&self, number: u64) -> Option<&Settled> {
        let at = number.checked_sub(1).and_then(|at| usize::try_from(at).ok())?;
        self.history.settled.get(at)
    }

    /// The public file of a settled batch, checked down to every proof.
    pub(crate) async fn public_file(&self, header: &BatchHeader) -> Result<PublicFile, Fault> {
        let context = &self.context;
        let before = header.number.0.checked_sub(1).and_then(|before| self.batch(before));
        // The file before is not read, so where its journal groups ended stays unknown.
        let previous = before
            .map(|before| Previous::after(&before.batch.header, None))
            .unwrap_or_else(|| context.genesis.clone());
        let bytes = self.place.data.public_file(header.number, &self.patience).await?;
        let of = BatchContext { context, previous: &previous, header };
        Ok(check::batch(of, &bytes)?.file)
    }
}
