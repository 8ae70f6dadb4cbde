//! The flaws, each with the rule that catches it.

/// A way to break the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Nothing,
    ReserveTakesMore,
    ReserveTakesWhatIsTaken,
    ReserveNamesAnotherPart,
    ReserveTakesWhatIsOutside,
    CommitThatWaitsIsBusy,
    CommitAfterDecommitIsRefused,
    FaultLeavesThePrepared,
    ReleaseLeavesTheLastGranule,
    DecommitIsDoneAndBusy,
    PrepareThatMustNotWaitIsRefused,
    DecommitDropsATable,
    FaultLeaksATable,
    MemoryIsShared,
    ZeroedIsNotZero,
    CommitSpillsOver,
    DecommitSpillsOver,
    FaultSpillsOver,
    ReleaseSpillsOver,
    TheLastByteHasNoAddress,
    PointersAreTorn,
    ForeignPointersHaveAddresses,
    WindowsAreApart,
    DecommitOverWindowsSpillsOver,
    ReleaseLeaksAFrame,
    PrepareKeepsAPart,
    CommitKeepsAPart,
    CommitSaysNoFigures,
    CommitFindsMoreFrames,
    TheLockIsIgnored,
    DecommitUnderTheLock,
}

/// The rule that catches a flaw, and a part of the message.
pub(crate) const CAUGHT: &[(Flaw, &str, &str)] = &[
    (
        Flaw::ReserveTakesMore,
        "reserve_takes_exactly_its_range",
        "refuses a range that is free",
    ),
    (
        Flaw::ReserveTakesWhatIsTaken,
        "reserve_refuses_what_overlaps",
        "takes a range that is taken already",
    ),
    (
        Flaw::ReserveNamesAnotherPart,
        "reserve_refuses_what_overlaps",
        "does not name the part that is occupied",
    ),
    (
        Flaw::ReserveTakesWhatIsOutside,
        "reserve_refuses_what_lies_outside",
        "does not refuse a range outside",
    ),
    (
        Flaw::CommitThatWaitsIsBusy,
        "every_path_through_the_states_is_open",
        "may wait returns Busy",
    ),
    (
        Flaw::CommitAfterDecommitIsRefused,
        "every_path_through_the_states_is_open",
        "commit refuses although there are frames",
    ),
    (
        Flaw::FaultLeavesThePrepared,
        "fault_takes_a_mix_of_states",
        "leaves page tables",
    ),
    (
        Flaw::ReleaseLeavesTheLastGranule,
        "release_takes_a_mix_of_states",
        "refuses a range that is free",
    ),
    (
        Flaw::DecommitIsDoneAndBusy,
        "a_call_that_must_not_wait_is_done_or_busy",
        "a decommit that is Busy changes memory",
    ),
    (
        Flaw::PrepareThatMustNotWaitIsRefused,
        "a_call_that_must_not_wait_is_done_or_busy",
        "refused for no reason",
    ),
    (
        Flaw::DecommitDropsATable,
        "decommit_keeps_page_tables",
        "decommit changes the number of page tables",
    ),
    (
        Flaw::FaultLeaksATable,
        "page_tables_go_with_the_last_that_needs_them",
        "page tables are left over",
    ),
    (
        Flaw::MemoryIsShared,
        "committed_memory_keeps_what_is_written",
        "or is shared",
    ),
    (
        Flaw::ZeroedIsNotZero,
        "memory_reported_zeroed_is_zero",
        "is not zero",
    ),
    (
        Flaw::CommitSpillsOver,
        "reserve_and_commit_leave_their_neighbours_alone",
        "the memory below the range changes",
    ),
    (
        Flaw::DecommitSpillsOver,
        "decommit_leaves_its_neighbours_alone",
        "the memory below the range changes",
    ),
    (
        Flaw::FaultSpillsOver,
        "fault_leaves_its_neighbours_alone",
        "the memory below the range changes",
    ),
    (
        Flaw::ReleaseSpillsOver,
        "release_leaves_its_neighbours_alone",
        "the memory below the range changes",
    ),
    (
        Flaw::TheLastByteHasNoAddress,
        "pointer_and_address_are_inverse",
        "is not the one that it was made from",
    ),
    (
        Flaw::PointersAreTorn,
        "neighbouring_addresses_have_neighbouring_pointers",
        "as far apart as their addresses",
    ),
    (
        Flaw::ForeignPointersHaveAddresses,
        "any_pointer_may_be_asked_about",
        "outside the address space",
    ),
    (
        Flaw::WindowsAreApart,
        "adjacent_windows_are_one_piece",
        "are not one piece of memory",
    ),
    (
        Flaw::DecommitOverWindowsSpillsOver,
        "adjacent_windows_are_one_piece",
        "a decommit over two windows changes memory",
    ),
    (
        Flaw::ReleaseLeaksAFrame,
        "every_frame_is_accounted_for",
        "frames in use are not",
    ),
    (
        Flaw::PrepareKeepsAPart,
        "prepare_is_all_or_nothing",
        "a refused prepare leaves page tables",
    ),
    (
        Flaw::CommitKeepsAPart,
        "commit_is_all_or_nothing",
        "frames in use are not",
    ),
    (
        Flaw::CommitSaysNoFigures,
        "commit_is_all_or_nothing",
        "how many frames are short",
    ),
    (
        Flaw::CommitFindsMoreFrames,
        "commit_is_all_or_nothing",
        "fewer frames than granules",
    ),
    (
        Flaw::TheLockIsIgnored,
        "a_busy_machine_changes_nothing",
        "is done while the lock is held",
    ),
    (
        Flaw::DecommitUnderTheLock,
        "a_busy_machine_changes_nothing",
        "a call that is Busy changes memory",
    ),
];
