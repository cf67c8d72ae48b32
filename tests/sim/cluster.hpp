// SPDX-License-Identifier: Apache-2.0
// The simulated nodes with their disks and chains, and the queue of what happens next.
#pragma once

#include <memory>
#include <optional>
#include <queue>
#include <variant>
#include <vector>

#include "tests/sim/byzantine.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/electorate.hpp"
#include "tests/sim/fake_keys.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/simulation.hpp"

namespace trainyard::sim {

struct DiskRecord {
    Epoch epoch;
    View view;
    Bytes bytes;
    bool durable = false;
};

struct FinalEntry {
    consensus::bft::BlockPtr block;
    Hash state;
    consensus::bft::CertPtr certificate;
};

class Cluster;

/// The sets as one node reads them from its own final blocks.
class NodeSets final : public consensus::ValidatorSets {
public:
    NodeSets(const Cluster& cluster, unsigned node) : cluster_(cluster), node_(node) {}
    [[nodiscard]] consensus::SetPtr of_epoch(Epoch epoch) const override;

private:
    const Cluster& cluster_;
    unsigned node_;
};

/// One node. `disk` and `finals` survive a crash, the rest does not.
struct Node {
    Liar liar;
    std::unique_ptr<consensus::bft::Bft> machine;  ///< null while down
    unsigned life = 0;  ///< counts restarts; what belongs to an older life is void
    std::vector<DiskRecord> disk;
    std::vector<FinalEntry> finals;  ///< height h at h - 1
    std::map<Hash, Hash> states;     ///< executed blocks
    std::unique_ptr<NodeSets> sets;
    std::map<Epoch, Hash> boundaries;  ///< Mutation::own_set: the states certified first
    uint64_t behind_since_ms = 0;      ///< 0: not behind
    bool syncing = false;
    bool forgets = false;  ///< Mutation::forget_nullify: stops after this input

    [[nodiscard]] bool honest() const { return liar.behaviour == Behaviour::honest; }
};

/// A message in its wire form, where a run sends bytes.
struct WireBytes {
    unsigned from = 0;
    std::shared_ptr<const Bytes> bytes;
};
enum class Control : uint8_t { start, split, join, heal, sync, look, restart };

struct Event {
    unsigned node = 0;
    unsigned life = 0;
    std::variant<consensus::bft::Input, WireBytes, Control> what;
};

class Cluster {
public:
    explicit Cluster(const Options& options);
    [[nodiscard]] Outcome run();

    /// What a node takes for the set of an epoch.
    [[nodiscard]] consensus::SetPtr set_of(unsigned node, Epoch epoch) const;

private:
    void draw_epochs();
    void draw_chain();
    void make_final(unsigned node, const FinalEntry& entry, bool proven);
    void start_early(unsigned node, const consensus::bft::Certified& boundary);
    void draw_faults();
    void draw_behaviours();
    void draw_liars(bool too_many);
    void push(uint64_t at_ms, unsigned node,
              std::variant<consensus::bft::Input, WireBytes, Control> what);
    void handle(const Event& event);
    void control(Control what, unsigned node);
    void deliver(unsigned node, const consensus::bft::Input& input);
    [[nodiscard]] bool is_done() const;
    [[nodiscard]] uint64_t lowest_height() const;
    [[nodiscard]] std::string describe() const;  ///< where every node stands
    [[nodiscard]] Outcome outcome();

    // nodes
    void start(unsigned node);
    void crash(unsigned node);
    void sync(unsigned node);
    void look_around(unsigned node);
    void restart_someone();
    [[nodiscard]] std::optional<Seat> seat_of(unsigned node) const;
    [[nodiscard]] bool lies(unsigned node);
    [[nodiscard]] consensus::bft::FinalPoint final_point(const Node& node) const;
    void send(unsigned node, const std::vector<unsigned>& to,
              const consensus::bft::Message& message);
    void transmit(unsigned from, const Outgoing& out);
    void transmit(unsigned from, unsigned to, const consensus::bft::Message& message,
                  const std::shared_ptr<const Bytes>& bytes);
    [[nodiscard]] std::shared_ptr<const Bytes> in_bytes(
        const consensus::bft::Message& message) const;
    [[nodiscard]] bool are_apart(unsigned from, unsigned to,
                                 const consensus::bft::Message& message) const;
    [[nodiscard]] std::vector<unsigned> others(unsigned node) const;  ///< its twin is none of them
    [[nodiscard]] std::vector<unsigned> nodes_of(const consensus::bft::Peer& peer) const;
    [[nodiscard]] const consensus::bft::Peer& peer_of(unsigned node) const;
    void record_votes(const consensus::bft::Message& message);
    [[nodiscard]] const Hash* state_of(const Node& node, const Hash& block) const;

    // effects
    void apply(unsigned node, const consensus::bft::Effect& effect);
    void on(unsigned node, const consensus::bft::Persist& e);
    void on(unsigned node, const consensus::bft::Forget& e);
    void on(unsigned node, const consensus::bft::Send& e);
    void on(unsigned node, const consensus::bft::Broadcast& e);
    void on(unsigned node, const consensus::bft::SetTimer& e);
    void on(unsigned node, const consensus::bft::Build& e);
    void on(unsigned node, const consensus::bft::Execute& e);
    void on(unsigned node, const consensus::bft::Certified& e);
    void on(unsigned node, const consensus::bft::Finalized& e);
    void on(unsigned node, const consensus::bft::ServeBlock& e);
    void on(unsigned node, const consensus::bft::ServeBoundary& e);
    void on(unsigned node, const consensus::bft::Behind& e);
    void on(unsigned node, const consensus::bft::Misbehaved& e);
    void on(unsigned node, const consensus::bft::Evidence& e);
    void on(unsigned node, const consensus::bft::GaveUp& e);
    void on(unsigned node, const consensus::bft::Diverged& e);

    /// When an event happens; the event itself, which is large, stays where it is.
    struct Due {
        uint64_t at_ms = 0;
        uint64_t order = 0;
        size_t slot = 0;
    };
    struct Later {
        bool operator()(const Due& a, const Due& b) const {
            return std::pair(a.at_ms, a.order) > std::pair(b.at_ms, b.order);
        }
    };

    Options options_;
    Faults faults_;
    Random random_;
    Keyring keys_;
    consensus::bft::Params params_;
    std::unique_ptr<Electorate> electorate_;
    Header genesis_;
    Hash genesis_hash_;
    std::vector<Node> nodes_;
    std::unique_ptr<Checker> checker_;
    std::unique_ptr<Network> network_;
    std::priority_queue<Due, std::vector<Due>, Later> queue_;
    std::vector<Event> events_;  ///< by slot
    std::vector<size_t> free_;   ///< slots
    uint64_t now_ms_ = 0, order_ = 0;
    uint64_t heal_ms_ = 0, height_goal_ = 0;
    uint64_t highest_ = 0, last_final_ms_ = 0;
    bool healed_ = false, wire_ = false;
    Outcome stats_;
};

}  // namespace trainyard::sim
