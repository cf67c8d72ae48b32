// SPDX-License-Identifier: Apache-2.0
// The random model of the market: honest, lying and vanishing roles, and what must hold after each
// of their calls.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <tuple>

#include "books.hpp"
#include "core/hash.hpp"
#include "market.hpp"
#include "model_runs.hpp"
#include "queue_books.hpp"

namespace trainyard::contracts {

inline const Address kAnyone = actor("anyone");

/// How often something happened, by name.
using Counts = std::map<std::string, size_t>;

class MarketModel {
public:
    explicit MarketModel(uint64_t seed);
    void step();
    void check();
    /// What events tell of a provider is all that made it richer or poorer.
    void check_earnings();
    /// Events tell what everybody has put up, and at which attempt.
    void check_put_up();
    /// Everyone but `kAnyone` has vanished; all jobs still close, and then all money can leave.
    void wind_up();
    [[nodiscard]] const Counts& counts() const { return counts_; }

private:
    using PutUp = node::wallet::PutUp;
    using AttemptKey = std::tuple<uint64_t, uint32_t, uint64_t>;  ///< job, segment, attempt
    /// What a validator decided to answer in one round, until it has revealed.
    struct Planned {
        Verdict verdict = Verdict::match;
        std::vector<Hash> answers;
    };

    /// What somebody sends along when it objects.
    enum class Bond { challenge, dispute, appeal };

    /// A dispute as its players see it. Segments are made up, so the provider's sequence is all
    /// that it can show: whoever is pointed at a step of its own has lost.
    struct Game {
        bool is_faithful = false;  ///< the challenger wants to win
        uint64_t turn = 0;
        Bytes state;
    };

    using BondKey = std::pair<AttemptKey, Bond>;

    uint64_t pick(uint64_t below) { return random_() % below; }
    [[nodiscard]] std::array<const std::vector<Address>*, 4> groups() const {
        return {&clients_, &providers_, &market_.validators, &outsiders_};
    }
    const Address& one_of(const std::vector<Address>& list) { return list[pick(list.size())]; }
    /// What calls of the market are given to send along.
    void endow(const Address& who, const Uint256& wei) {
        given_ += wei;
        endowed_[who] += wei;
    }
    [[nodiscard]] bool is_live(const AttemptKey& key);
    /// Of the attempt that was committed last.
    [[nodiscard]] bool is_right(const AttemptKey& key) const;
    [[nodiscard]] bool has_bonds(const AttemptKey& key) const;

    // What the roles do: market_model_calls.cpp.
    /// Nobody diligent lets a deadline pass.
    void wait(uint64_t blocks);
    void post();
    void take() {
        if (jobs_ > 0) note(market_.take(one_of(providers_), pick(jobs_)));
    }
    void commit();
    void audit_something();
    void audit(uint64_t job, uint32_t seg);
    /// Whoever likes challenges or disputes whatever is there; the model knows what must come of
    /// it.
    void contest();
    /// Providers object to their own segments only, in vain: it would not be earned as a provider.
    Address objector(uint64_t job, uint32_t seg);
    bool challenge(uint64_t job, uint32_t seg);
    bool dispute(uint64_t job, uint32_t seg);
    void appeal(const Address& who, uint64_t job, uint32_t seg);
    /// Whoever is not diligent does what it likes; a stranger can do nothing.
    void play(const AttemptKey& key);
    bool show_steps(const AttemptKey& key);
    bool point(const AttemptKey& key);
    void reclaim(const AttemptKey key);
    void commit_answer(const Address& auditor, uint64_t job, uint32_t seg);
    void reveal_answer(const Address& auditor, uint64_t job, uint32_t seg);
    void on_job();
    /// Pays no more than the price and those who answered and were not fined for it.
    void finalize(uint64_t job, uint32_t max);
    void free_bond(uint64_t job, const Address& provider);
    void move_stake();

    // What events tell, and whether that may be: market_model_events.cpp.
    static Hash topic(std::string_view signature) { return keccak256(as_bytes(signature)); }
    /// The last call told such an event.
    [[nodiscard]] bool has_told(const Hash& event) const {
        return std::any_of(last_.logs.begin(), last_.logs.end(),
                           [&](const Log& log) { return log.topics[0] == event; });
    }
    /// Reads the events of a call: nothing is final twice, and who is right is not slashed.
    const Sent& note(Sent sent);
    void note_bond(const Log& log, uint64_t job, uint32_t seg);
    void on_objection(const AttemptKey& key, Bond kind);
    void on_settled(const AttemptKey& key, Bond kind, bool has_won, bool is_kept);
    void note_game(const Log& log, uint64_t job, uint32_t seg);
    /// Stake decides nothing here, but who does not move.
    void expect_fair(const AttemptKey& key, bool has_won);
    /// Nobody pays twice for one seat.
    void note_fine(const Log& log, uint64_t job, uint32_t seg);
    void expect_guilty(uint64_t job, uint32_t seg);
    /// A segment fell without a slash. That it does not diverge is for a majority to say, as that
    /// its job is unsound.
    void expect_doubted(uint64_t job, uint32_t seg);
    /// One honest auditor of the pair or one challenger is enough to bring a lie before a
    /// committee, and a majority there to end it, if its provider does not appeal.
    void expect_unseen_or_right(uint64_t job, uint32_t seg);

    // What holds between calls: market_model.cpp.
    [[nodiscard]] bool all_closed();
    void check_money();
    /// Final segments are a prefix that never changes, each starts where the one before ended.
    void check_job(uint64_t job);
    /// A model of the segments that have an end, if there are any.
    void check_token(const JobView& j, uint64_t trained);

    Market market_;
    std::mt19937_64 random_;
    uint64_t seed_;
    QueueBooks queues_{market_};
    JobSpec spec_;
    Runs runs_{spec_, seed_};
    std::vector<Address> clients_, providers_, outsiders_;
    uint64_t jobs_ = 0;
    Uint256 given_;
    std::map<Address, Uint256> endowed_;
    Sent last_;
    Counts counts_;
    const Hash dispute_settled_ = topic("DisputeSettled(uint256,uint32,address,bool,uint256)");
    const Hash appeal_settled_ = topic("AppealSettled(uint256,uint32,address,bool,uint256)");
    std::map<BondKey, Uint256> open_bonds_;
    std::map<Address, std::set<PutUp>> put_up_;
    std::map<AttemptKey, Game> games_;
    std::set<AttemptKey> convicted_;  ///< and not yet appealed or void
    std::set<AttemptKey> diligent_;   ///< right, and its provider misses no deadline over it
    std::optional<AttemptKey> reclaiming_;
    std::map<uint64_t, Uint256> paid_in_;  ///< by lost challenges: committees' fees
    std::map<std::tuple<uint64_t, uint32_t, uint64_t, Address>, size_t> seats_;  ///< not fined
    std::set<std::pair<uint64_t, uint32_t>> paid_;
    std::map<std::pair<uint64_t, uint32_t>, Hash> roots_;
    std::map<std::pair<uint64_t, uint32_t>, FakeSegment> made_;
    std::map<std::tuple<uint64_t, uint32_t, Address>, Planned> planned_;
    std::map<AttemptKey, Tally> tallies_;
};

}  // namespace trainyard::contracts
