//! What is known of the pages of the data file after the last commit that was read: where the WAL has them, and what
//! the log says of them. What was not synced in the log can be taken back.

use std::collections::HashMap;

use super::{
    keys::Since,
    table::{Changes, Known, Logged, is_in},
};

/// The last frame of every page in a stretch of the WAL.
pub(super) type Latest = HashMap<u32, u32>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Page {
    /// The generation of the WAL that holds it, counted from 1, and its last frame there.
    generation: u32,
    frame: u32,
    /// The hash that the log has of it.
    hash: Option<[u8; 8]>,
    /// What the log has of it since it had it whole.
    since: Since,
}

/// The table, and how to return to its mark.
#[derive(Debug)]
pub(super) struct Pages {
    pages: HashMap<u32, Page>,
    /// Up to which page the base of the log still counts where the log has no hash.
    base_pages: u32,
    /// Runs of pages that have no content at the base.
    blank: Vec<(u32, u32)>,
    generation: u32,
    salts: [u32; 2],
    /// What was replaced since the mark, the newest last.
    undo: Vec<(u32, Option<Page>)>,
    base_pages_at_mark: u32,
}

impl Pages {
    /// Of a log without records whose base has that many pages.
    pub(super) fn new(base_pages: u32) -> Self {
        let (pages, undo) = (HashMap::new(), Vec::new());
        let (blank, salts) = (Vec::new(), [0; 2]);
        Self { pages, base_pages, blank, generation: 1, salts, undo, base_pages_at_mark: base_pages }
    }

    /// Takes over what a reader found in the log, in the place of what the log said before.
    pub(super) fn know(&mut self, changes: Changes) {
        let generation = self.generation;
        self.pages.retain(|_, page| {
            (page.hash, page.since) = (None, Since::default());
            page.generation == generation
        });
        for (number, Logged { hash, since }) in changes.pages {
            let page = self.pages.entry(number).or_default();
            (page.hash, page.since) = (Some(hash), since);
        }
        (self.base_pages, self.blank) = (changes.base_pages, changes.blank);
        self.mark();
    }

    /// What the log says of the pages, for later.
    pub(super) fn changes(&self) -> Changes {
        let logged = |page: &Page| Some(Logged { hash: page.hash?, since: page.since });
        let pages = self.pages.iter().filter_map(|(number, page)| Some((*number, logged(page)?))).collect();
        Changes { pages, base_pages: self.base_pages, blank: self.blank.clone() }
    }

    /// Takes over where the WAL with these salts has the pages, up to a place that is logged.
    pub(super) fn find(&mut self, salts: [u32; 2], latest: Latest) {
        self.begin_generation(salts);
        for (page, frame) in latest {
            let page = self.pages.entry(page).or_default();
            (page.generation, page.frame) = (self.generation, frame);
        }
        self.mark();
    }

    /// The WAL begins anew with these salts: no page is in it.
    pub(super) fn begin_generation(&mut self, salts: [u32; 2]) {
        self.generation = self.generation.wrapping_add(1);
        self.salts = salts;
    }

    /// Whether the frames are those of the WAL with these salts.
    pub(super) fn are_of(&self, salts: [u32; 2]) -> bool {
        self.salts == salts
    }

    /// The last frame of `page` in this generation of the WAL.
    pub(super) fn frame(&self, page: u32) -> Option<u32> {
        self.pages.get(&page).filter(|page| page.generation == self.generation).map(|page| page.frame)
    }

    /// What the log has of `page` since it had it whole.
    pub(super) fn since(&self, page: u32) -> Since {
        self.pages.get(&page).map(|page| page.since).unwrap_or_default()
    }

    /// A commit wrote `page`: it is in that frame, and in the log with that hash, unless the data file ends before it;
    /// where that is so.
    pub(super) fn write(&mut self, page: u32, frame: u32, logged: Option<Logged>) {
        let before = self.pages.get(&page).copied();
        let hash = logged.map(|logged| logged.hash).or(before.and_then(|before| before.hash));
        let since = logged.map(|logged| logged.since).or(before.map(|before| before.since)).unwrap_or_default();
        self.pages.insert(page, Page { generation: self.generation, frame, hash, since });
        self.undo.push((page, before));
    }

    /// A commit made the data file shorter. What pages that were cut off held does not come back when it grows again.
    pub(super) fn cut(&mut self, page_count: u32) {
        for (number, page) in self.pages.iter_mut().filter(|(number, _)| **number > page_count) {
            if page.hash.is_some() {
                self.undo.push((*number, Some(*page)));
                (page.hash, page.since) = (None, Since::default());
            }
        }
        self.base_pages = self.base_pages.min(page_count);
    }

    /// What was written so far is synced in the log.
    pub(super) fn mark(&mut self) {
        self.undo.clear();
        self.base_pages_at_mark = self.base_pages;
    }

    /// Returns to the mark.
    pub(super) fn revert(&mut self) {
        while let Some((number, before)) = self.undo.pop() {
            match before {
                Some(page) => _ = self.pages.insert(number, page),
                None => _ = self.pages.remove(&number),
            }
        }
        self.base_pages = self.base_pages_at_mark;
    }
}

impl Known for Pages {
    fn hash(&self, page: u32) -> Option<[u8; 8]> {
        self.pages.get(&page).and_then(|page| page.hash)
    }

    fn base_pages(&self) -> u32 {
        self.base_pages
    }

    fn is_of_base(&self, page: u32) -> bool {
        page <= self.base_pages && !is_in(&self.blank, page)
    }

    fn each(&self, visit: &mut dyn FnMut(u32, [u8; 8])) {
        self.pages.iter().filter_map(|(number, page)| Some((*number, page.hash?))).for_each(|(n, hash)| visit(n, hash));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Write(u32, u32, u8),
        Beyond(u32, u32),
        Cut(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1u32..9, 1u32..50, any::<u8>()).prop_map(|(page, frame, hash)| Step::Write(page, frame, hash)),
            (1u32..9, 1u32..50).prop_map(|(page, frame)| Step::Beyond(page, frame)),
            (0u32..9).prop_map(Step::Cut),
        ];
        prop::collection::vec(step, 0..12)
    }

    fn run(pages: &mut Pages, steps: &[Step]) {
        for step in steps {
            match *step {
                Step::Write(page, frame, hash) => pages.write(page, frame, Some([hash; 8].into())),
                Step::Beyond(page, frame) => pages.write(page, frame, None),
                Step::Cut(page_count) => pages.cut(page_count),
            }
        }
    }

    fn seen(pages: &Pages) -> Vec<(Option<u32>, Option<[u8; 8]>)> {
        (1..10).map(|page| (pages.frame(page), pages.hash(page))).collect()
    }

    proptest! {
        #[test]
        fn what_was_not_synced_is_taken_back(before in steps(), after in steps()) {
            let mut pages = Pages::new(7);
            run(&mut pages, &before);
            pages.mark();
            let (known, base_pages) = (seen(&pages), pages.base_pages());
            run(&mut pages, &after);
            pages.revert();
            prop_assert_eq!((seen(&pages), pages.base_pages()), (known, base_pages));
        }
    }

    #[test]
    fn a_new_wal_holds_no_page_and_the_log_still_does() {
        let mut pages = Pages::new(3);
        pages.find([1, 2], Latest::from([(1, 10), (2, 20)]));
        pages.write(2, 21, Some([5; 8].into()));
        assert_eq!((pages.frame(1), pages.frame(2), pages.hash(2)), (Some(10), Some(21), Some([5; 8])));
        pages.mark();
        pages.begin_generation([3, 4]);
        assert!(pages.are_of([3, 4]) && !pages.are_of([1, 2]));
        assert_eq!((pages.frame(1), pages.frame(2), pages.hash(2)), (None, None, Some([5; 8])));
        pages.know(Changes::new(2));
        assert_eq!((pages.hash(2), pages.base_pages()), (None, 2));
    }

    #[test]
    fn a_page_that_was_cut_off_is_not_known_when_the_file_grows_again() {
        let mut pages = Pages::new(5);
        pages.write(4, 1, Some([1; 8].into()));
        pages.cut(3);
        assert_eq!((pages.hash(4), pages.frame(4), pages.base_pages()), (None, Some(1), 3));
        pages.write(4, 2, None);
        assert_eq!((pages.hash(4), pages.frame(4)), (None, Some(2)));
    }
}
