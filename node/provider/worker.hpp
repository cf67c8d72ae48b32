// SPDX-License-Identifier: Apache-2.0
// A provider: registers, takes a job, trains, commits, serves audits, is paid, takes the next one.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "node/provider/defence.hpp"
#include "node/provider/offers.hpp"
#include "node/provider/trainer.hpp"
#include "node/wallet/blob.hpp"
#include "node/wallet/job_agenda.hpp"
#include "node/wallet/kept_blobs.hpp"
#include "node/wallet/market.hpp"
#include "training/audit.hpp"

namespace trainyard::node::provider {

/// Something that happened, for a person, a log or a program that watches.
struct Event {
    enum class Kind {
        note,     ///< text only
        skipped,  ///< an open job that is not taken; text says why
        taken,
        step,       ///< step, steps, loss_bits
        committed,  ///< seg
        served,     ///< seg
        opened,     ///< seg
        accepted,   ///< seg
        disputed,   ///< seg; text: by whom, until when to move
        moved,      ///< seg; text: which move
        won,        ///< seg: its dispute
        convicted,  ///< seg; text: until when to appeal
        appealed,   ///< seg; text: for how much, why
        acquitted,  ///< seg
        paid,       ///< text: the amount
        voided,     ///< text: why we are out
        finished,
        failed,  ///< text
    };
    Kind kind = Kind::note;
    uint64_t job = 0;
    uint32_t seg = 0;
    uint32_t step = 0, steps = 0;
    uint32_t loss_bits = 0;
    uint64_t macs_per_step = 0, tokens_per_step = 0;
    uint32_t committed = 0, accepted = 0, segments = 0;
    uint64_t block = 0;
    Hash tx;
    std::string text;
};
[[nodiscard]] std::string_view to_text(Event::Kind kind);

struct ProviderOptions {
    std::string folder;
    std::string name = "provider";
    Uint256 stake_wei_max;  ///< never more than this goes into the registry
    OfferRules rules;
    uint64_t keep_s =
        wallet::kKeepModel_s;  ///< so long the model of a closed job stays at the node
    training::Fault fault = training::Fault::none;
    BackendMaker make_backend;
    BackendMaker make_host_backend;  ///< on the CPU, for disputes
    Background background;
    Background defence_background;    ///< a queue of its own: moves do not wait for training
    std::function<uint64_t()> now_s;  ///< unix time
    std::function<void(const Event&)> on_event;  ///< from two threads, also at once
};

/// `tick` looks at the chain once and does what is due. What must survive a crash stands on the
/// chain or in the folder; a new object goes on where the old one ended. A job that is lost, to a
/// deadline or a failure, is looked after until its segments of ours are paid or void. Of jobs that
/// are closed nothing is remembered.
class ProviderWorker {
public:
    ProviderWorker(wallet::MarketApi& market, ProviderOptions options);
    ~ProviderWorker();
    void tick();
    [[nodiscard]] bool has_job() const { return work_ != nullptr; }
    [[nodiscard]] uint32_t jobs_finished() const { return jobs_finished_; }
    /// Jobs, and records and nudges of the one in hand: for those who watch memory.
    [[nodiscard]] size_t remembered() const;

private:
    struct Work;
    struct Trial;
    struct Memory {
        std::string skipped;         ///< the reason last told
        uint64_t look_again_at = 0;  ///< block
        std::optional<Demand> demand;
        bool is_given_back = false;  ///< it cannot be trained here
        bool is_settled = false;     ///< it owes us nothing, but may be taken again
    };

    void find_work();
    [[nodiscard]] bool look_back_at_all(uint64_t count);
    [[nodiscard]] bool look_back(uint64_t id);
    [[nodiscard]] bool waits_for(uint64_t id, const wallet::Job& job);
    [[nodiscard]] bool resume(uint64_t id, const wallet::Job& job);
    [[nodiscard]] std::string fetch_state(uint64_t id, uint32_t seg, const Hash& root,
                                          const training::Program& program);
    void consider(uint64_t id);
    void skip(uint64_t id, std::string reason);
    [[nodiscard]] std::string try_to_take(uint64_t id, const wallet::Job& job,
                                          const wallet::JobSpec& spec);
    void publish(uint64_t id, const wallet::Job& job, const JobMaterial& material);
    void release_blobs();
    [[nodiscard]] std::string why_unfit(uint64_t id, const wallet::JobSpec& spec);
    [[nodiscard]] Result<Uint256, std::string> missing_stake(const Uint256& bond_wei);
    [[nodiscard]] std::string add_stake(const Uint256& amount_wei);
    [[nodiscard]] std::string take(uint64_t id, const wallet::JobSpec& spec,
                                   const Uint256& bond_wei, const Uint256& missing_wei);
    void begin(uint64_t id, const wallet::Job& job, const wallet::JobSpec& spec,
               JobMaterial material);

    void go_on();
    void train_and_commit(const wallet::Job& job);
    [[nodiscard]] bool commit(uint32_t seg, const training::SegmentRecord& record);
    [[nodiscard]] bool look_after(uint32_t seg, const wallet::Job& job);
    void note_accepted(uint32_t seg);
    void serve(uint32_t seg, const wallet::Segment& segment);
    void open(uint32_t seg);
    static constexpr uint64_t kNudgeBlocks = 6;  ///< before a call that others may make, too
    void nudge(wallet::MarketApi::Nudge what, uint32_t seg, uint64_t wait_blocks = kNudgeBlocks);
    [[nodiscard]] bool stand_by(uint32_t seg, const wallet::Segment& segment);
    void end_trials(const wallet::Job& job);
    void end_trial(uint32_t seg, bool is_right);
    void note_dispute(uint32_t seg, const wallet::Segment& segment, const wallet::Dispute& dispute,
                      Trial& trial);
    void answer_dispute(uint32_t seg, const wallet::Segment& segment, Trial& trial);
    void ask_for_move(uint32_t seg, const wallet::Segment& segment, const wallet::Dispute& dispute,
                      Trial& trial);
    void bring_state(uint32_t seg, const wallet::Segment& segment, Trial& trial);
    void play(uint32_t seg, const wallet::Dispute& dispute, const Defence::Answer& answer,
              Trial& trial);
    void compute_again(uint32_t seg, Trial& trial, const std::string& why);
    void note_conviction(uint32_t seg, const wallet::Segment& segment, Trial& trial);
    void answer_conviction(uint32_t seg, const wallet::Segment& segment, Trial& trial);
    void appeal(uint32_t seg, const wallet::Segment& segment, const std::string& why, Trial& trial);
    void await_disputes(uint32_t seg, const wallet::Segment& segment, Trial& trial);
    void warn(uint32_t seg, Trial& trial, const std::string& text);
    void try_again(const std::string& failure);
    void give_back(const std::string& why);
    void leave(const std::string& why);
    void settle(uint64_t id);
    void finish();
    void put_away();
    void conclude(uint64_t id);
    [[nodiscard]] Result<std::vector<Bytes>, std::string> make_bundles(
        uint32_t seg, const std::vector<training::AuditDraws>& draws);

    void emit(Event event) const;
    void note(std::string text) const;
    [[nodiscard]] std::string folder_of(uint64_t id) const;

    wallet::MarketApi& market_;
    ProviderOptions options_;
    std::unique_ptr<Work> work_;
    std::map<uint64_t, Memory> memory_;  ///< by job
    uint64_t looked_back_to_ = 0;  ///< jobs below it are not ours, or in hand, waiting or settled
    std::set<uint64_t> waiting_;   ///< jobs with segments of ours under audit
    wallet::JobAgenda offers_;     ///< jobs that are not closed
    wallet::KeptBlobs kept_;
    uint64_t released_at_ = 0;  ///< block
    std::string trouble_;       ///< why the node did not answer last; empty: it did
    uint64_t head_ = 0;
    uint32_t jobs_finished_ = 0;
};

}  // namespace trainyard::node::provider
