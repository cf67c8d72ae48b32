// SPDX-License-Identifier: Apache-2.0
// A provider: registers, takes a job, trains, commits, serves audits, is paid, takes the next one.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "node/provider/event.hpp"
#include "node/provider/funds.hpp"
#include "node/provider/offers.hpp"
#include "node/provider/trainer.hpp"
#include "node/wallet/blob.hpp"
#include "node/wallet/dues.hpp"
#include "node/wallet/job_agenda.hpp"
#include "node/wallet/kept_blobs.hpp"
#include "node/wallet/market.hpp"
#include "training/audit.hpp"

namespace trainyard::node::provider {

struct TrialsOptions;

struct ProviderOptions {
    std::string folder;
    std::string name = "provider";
    std::string place;        ///< of this folder, for the registry: place_of
    bool takes_over = false;  ///< the key, from wherever it is used
    Uint256 stake_wei_max;    ///< never more than this goes into the registry
    OfferRules rules;
    uint64_t keep_s =
        wallet::kKeepModel_s;  ///< so long the model of a closed job stays at the node
    /// An account that has coins only where everybody may have some, as on a devnet, and how to get
    /// them there, for people; empty: not told.
    Address rich;
    std::function<std::string(const std::string& who, const std::string& coins)> how_to_fund;
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
    /// Why nothing is done any more: another provider has the key. Empty while that is not so.
    [[nodiscard]] const std::string& why_ended() const { return why_ended_; }
    /// Jobs, bonds, and records and nudges of the one in hand: for those who watch memory.
    [[nodiscard]] size_t remembered() const;

private:
    struct Work;
    struct Memory {
        std::string skipped;         ///< the reason last told
        uint64_t look_again_at = 0;  ///< block
        std::optional<Demand> demand;
        bool is_given_back = false;  ///< it cannot be trained here
        bool is_settled = false;     ///< it owes us nothing, but may be taken again
    };

    [[nodiscard]] bool holds_key();
    [[nodiscard]] bool claim_key();
    void end_for_another();

    void find_work();
    [[nodiscard]] bool has_funds();
    [[nodiscard]] std::string why_unfunded(const Uint256& stake_wei);
    [[nodiscard]] std::string what_to_send(const Funds& funds);
    [[nodiscard]] std::string how_to_fund(const Funds& funds);
    [[nodiscard]] bool look_back_at_all(uint64_t count);
    [[nodiscard]] bool look_back(uint64_t id);
    [[nodiscard]] bool waits_for(uint64_t id, const wallet::Job& job);
    [[nodiscard]] bool resume(uint64_t id, const wallet::Job& job);
    [[nodiscard]] std::string fetch_state(uint64_t id, uint32_t seg, const Hash& root,
                                          const training::Program& program);
    [[nodiscard]] bool decide(uint64_t id);
    void consider(uint64_t id);
    void skip(uint64_t id, std::string reason);
    [[nodiscard]] std::string try_to_take(uint64_t id, const wallet::Job& job,
                                          const wallet::JobSpec& spec);
    void publish(uint64_t id, const wallet::Job& job, const JobMaterial& material);
    void release_blobs();
    [[nodiscard]] std::string why_unfit(uint64_t id, const wallet::JobSpec& spec);
    [[nodiscard]] Result<Uint256, std::string> missing_stake(const Uint256& bond_wei);
    [[nodiscard]] std::string add_stake(const Uint256& amount_wei);
    void note_taken(uint64_t id, const wallet::JobSpec& spec, const Uint256& bond_wei,
                    const wallet::TxReceipt& receipt);
    [[nodiscard]] std::string why_not_taken(uint64_t id, const wallet::WalletError& failure);
    void begin(uint64_t id, const wallet::Job& job, const wallet::JobSpec& spec,
               JobMaterial material);
    [[nodiscard]] TrialsOptions trials_options();

    void go_on();
    void train_and_commit(const wallet::Job& job);
    [[nodiscard]] bool commit(uint32_t seg, const training::SegmentRecord& record);
    [[nodiscard]] wallet::Answer<Hash> keep_state(uint32_t seg, const Hash& root);
    bool commit_again_later(const std::string& failure);
    void claim(const Divergence& found);
    [[nodiscard]] std::string why_void(uint32_t seg);
    [[nodiscard]] bool was_refuted(uint64_t id, const wallet::Job& job);
    [[nodiscard]] bool look_after(uint32_t seg, const wallet::Job& job);
    void note_wait(uint32_t seg);
    void note_accepted(uint32_t seg);
    void serve(uint32_t seg, const wallet::Segment& segment);
    void open(uint32_t seg);
    void nudge(wallet::MarketApi::Nudge what, uint32_t seg, bool at_once = false);
    void try_again(const std::string& failure);
    void give_back(const std::string& why);
    void leave(const std::string& why);
    void settle(uint64_t id);
    [[nodiscard]] bool free_bond(uint64_t id);
    void collect_dues();
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
    std::optional<uint64_t> undecided_;  ///< a job that was to be taken, and no answer came
    wallet::KeptBlobs kept_;
    uint64_t released_at_ = 0;  ///< block
    wallet::Dues dues_;
    /// Jobs whose bond of ours did not come free at once; it does when so many segments are final.
    std::map<uint64_t, uint32_t> unfreed_;
    uint64_t freed_at_ = 0;  ///< block
    bool holds_ = false;     ///< this process has found, or made, the key to be its own
    uint64_t held_at_ = 0;   ///< block of the last look at that
    int strange_looks_ = 0;  ///< that found another's name, one after the other
    std::string why_ended_;
    uint64_t looked_at_funds_ = 0;      ///< block
    std::optional<Uint256> poor_with_;  ///< what the account had when it was too little last
    std::string trouble_;               ///< why the node did not answer last; empty: it did
    uint64_t head_ = 0;
    uint32_t jobs_finished_ = 0;
};

}  // namespace trainyard::node::provider
