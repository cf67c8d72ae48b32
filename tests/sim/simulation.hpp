// SPDX-License-Identifier: Apache-2.0
// A whole cluster in one thread: machines, fake clock, network and disks, and one seed for all of
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/electorate.hpp"

namespace trainyard::sim {

enum class Behaviour : uint8_t;  // byzantine.hpp

/// What may go wrong; each run draws from those allowed.
struct Faults {
    bool loss = true;       ///< messages vanish
    bool delay = true;      ///< messages come much later than Delta
    bool reorder = true;    ///< else messages between two nodes keep their order
    bool duplicate = true;  ///< messages come twice
    bool partition = true;  ///< groups that cannot hear each other
    bool crash = true;      ///< a node stops at any effect and comes back from its disk
    bool torn = true;       ///< what was not synced before a crash is lost or cut
    bool byzantine = true;  ///< up to F of the nodes do not follow the rules

    [[nodiscard]] static Faults none();
};
/// "loss,delay,..." or "none" or "all"; false on an unknown word.
[[nodiscard]] bool parse_faults(std::string_view list, Faults& out);

/// A rule broken on purpose, to see that the checks can fail.
enum class Mutation : uint8_t {
    none,
    send_before_sync,    ///< votes leave before they are durable
    too_many_byzantine,  ///< F + 1 nodes vote for everything at once
    forget_nullify,      ///< a NULLIFY is not kept, and its node restarts at once
    trust_signatures,    ///< nobody checks signatures, and a forger uses it
    old_set,             ///< each epoch counts the votes of the set before
    own_set,             ///< the set of the next epoch is read from the boundary block that a node
                         ///< certified first, final or not
    certify_unexecuted,  ///< every second node takes each block for valid
    start_early,         ///< the next epoch starts on a boundary block that is only certified
};

/// Validators that run twice with the same keys, and who hears whom in the first views. Source:
/// Bano et al., Twins: BFT Systems Made Robust (arXiv:2004.10617).
struct Twins {
    unsigned count = 0;  ///< node `nodes + k` is the twin of node k
    /// For each of the first views, the nodes of one group as bits; the rest is the other group.
    std::vector<uint32_t> groups;
    std::vector<unsigned> leaders;  ///< who leads those views
};

struct Options {
    uint64_t seed = 1;
    unsigned nodes = 4;
    Faults faults;
    Mutation mutation = Mutation::none;
    unsigned byzantine_max = 200;    ///< that many nodes at most, whatever F allows
    std::optional<Behaviour> liars;  ///< there are some, all of this kind; else drawn
    bool shards = false;             ///< bodies travel as shards in any case; else drawn
    Twins twins;
    bool real_keys = false;
    bool equal_stakes = false;    ///< else drawn
    bool churn = false;           ///< another set in each epoch, and short epochs
    uint64_t epoch_length = 0;    ///< 0: drawn
    uint64_t heights_min = 20;    ///< a run ends when every honest node finalized this much,
    uint64_t heights_healed = 5;  ///< and this much after the faults ended
    uint64_t faulty_ms_min = 2000;
    uint64_t faulty_ms_max = 8000;
    unsigned down_always = 0;          ///< this many nodes (the last ones) never start
    uint64_t down_until_ms = 0;        ///< with down_always: when they start after all (0: never)
    uint64_t settle_ms_max = 200'000;  ///< no progress within this after healing is a failure
    /// Not 0: run for so long in a good network; once a minute some node is away for a moment.
    uint64_t calm_ms = 0;
    uint64_t interval_ms = 0;  ///< between blocks; 0: drawn
};

inline constexpr uint64_t kStallMs = 10'000;

struct Outcome {
    std::string failure;  ///< empty if every check passed
    uint64_t trace = 0;   ///< a hash over everything that happened, in order
    uint64_t events = 0;
    uint64_t final_height = 0;  ///< the lowest of the honest nodes
    uint64_t views = 0;         ///< the highest
    uint64_t crashes = 0;
    uint64_t evidence = 0;          ///< offences proven
    uint64_t behind = 0;            ///< times a node had to sync final blocks
    uint64_t height_at_return = 0;  ///< the highest anywhere when the nodes kept down came up
    uint64_t simulated_ms = 0;
    uint64_t shard_messages = 0;  ///< sent by honest nodes
    uint64_t no_proposals = 0;    ///< views given up because no proposal came in time
    uint64_t bad_proposals = 0;   ///< because the leader's proposal, or its shards, broke a rule
    uint64_t bad_blocks = 0;      ///< because a notarized block is invalid
    uint64_t reproposals = 0;     ///< of blocks that end an epoch
    uint64_t epochs = 0;          ///< that ended somewhere
    uint64_t gap_ms = 0;          ///< the longest time without a new final block anywhere
    uint64_t stalls = 0;          ///< how often that was longer than kStallMs
    SetChanges changes;           ///< of the sets of those epochs

    [[nodiscard]] bool passed() const { return failure.empty(); }
};

[[nodiscard]] Outcome simulate(const Options& options);

}  // namespace trainyard::sim
