// SPDX-License-Identifier: Apache-2.0
// Bonds, moves and their words.
#include "node/cli/objector.hpp"

#include <chrono>
#include <thread>

#include "node/cli/confirm.hpp"
#include "node/cli/jobs.hpp"
#include "node/cli/machine.hpp"
#include "node/wallet/coins.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
using verify::Court;
using verify::Ending;
using wallet::coins;
using wallet::in_coins;
using wallet::WalletErrorCode;

constexpr auto kPause = std::chrono::milliseconds(500);

std::string_view to_text(Ending ending) {
    switch (ending) {
        case Ending::fell:
            return "void";
        case Ending::dismissed:
            return "dismissed";
        case Ending::appealed:
            return "appealed";
        case Ending::paid:
            return "paid";
        case Ending::window_over:
            return "window over";
        case Ending::too_early:
            return "under audit";
        case Ending::no_game:
            return "no dispute";
    }
    return "";
}

/// What a court does with a segment, in words.
struct CourtWords {
    const char* ask;  ///< "challenge"
    const char* does;
    const char* did;
    const char* before;  ///< "before a fresh committee"
    const char* returned;
    const char* lost;
    const char* dismissed;
};
const CourtWords& words_of(Court court) {
    static constexpr CourtWords kCommittee = {
        "challenge",
        "challenging",
        "challenged",
        "before a fresh committee",
        "returned if it finds the segment wrong, lost if it finds it right",
        "it was challenged before, ",
        "stands: the committee found it right, and the bond is lost"};
    static constexpr CourtWords kReferee = {
        "dispute",
        "disputing",
        "disputed",
        "before the referee",
        "returned if the provider cannot show that it is right, lost if it can, or if this "
        "command does not play to the end",
        "it was disputed before, ",
        "stands: its provider could show it, and the bond is lost"};
    return court == Court::referee ? kReferee : kCommittee;
}

}  // namespace

bool is_passing(const wallet::WalletError& error) {
    return error.code == WalletErrorCode::unreachable || error.code == WalletErrorCode::timeout;
}

void pause(ProgressLine& bar, const std::string& text) {
    bar.show(text);
    std::this_thread::sleep_for(kPause);
}

std::string name_of(uint64_t job, uint32_t seg) {
    return "job " + std::to_string(job) + " segment " + std::to_string(seg);
}

Objector::Objector(const Output& out, const VerifyArgs& args, Court court,
                   wallet::MarketApi& market, verify::JobWatch& watch, ProgressLine& bar,
                   verify::Verifier& verifier, std::string bonds_path)
    : out_(out),
      args_(args),
      court_(court),
      market_(market),
      watch_(watch),
      bar_(bar),
      verifier_(verifier),
      dues_(std::move(bonds_path)),
      id_(*args.job) {}

// --- the bond

wallet::Answer<uint8_t> Objector::number_of(uint32_t seg) {
    if (is_game()) {
        const auto before = market_.dispute_of(id_, seg);
        if (!before) return unexpected(before.error());
        return before->lost;
    }
    const auto before = market_.challenge_of(id_, seg);
    if (!before) return unexpected(before.error());
    return before->number;
}

wallet::Answer<Objector::Stakes> Objector::stakes_of(uint32_t seg) {
    const auto bond = is_game() ? market_.dispute_bond(id_, seg) : market_.challenge_bond(id_, seg);
    if (!bond) return unexpected(bond.error());
    const auto segment = market_.segment(id_, seg);
    if (!segment) return unexpected(segment.error());
    auto bounty = is_game() ? market_.dispute_bounty(id_) : market_.challenge_bounty(id_);
    if (!bounty) return unexpected(bounty.error());
    if (segment->diverges_at != 0) bounty = Uint256();  // no bond is slashed for such a claim
    const auto balance = market_.balance(market_.self());
    if (!balance) return unexpected(balance.error());
    const auto number = number_of(seg);
    if (!number) return unexpected(number.error());
    return Stakes{*bond, *bounty, *balance, *number};
}

void Objector::contest(const verify::Contest& claim) {
    const CourtWords& words = words_of(court_);
    const auto stakes = stakes_of(claim.seg);
    if (!stakes) return refused(claim.seg, stakes.error());
    // A transaction whose receipt was lost may have been carried out, and its objection lost.
    const auto [tried, is_first] = tried_.try_emplace({claim.seg, claim.attempt}, stakes->number);
    if (!is_first && stakes->number != tried->second)
        return refused(claim.seg, {WalletErrorCode::reverted,
                                   std::string("it was ") + words.did + " meanwhile"});
    if (is_first && !agree(claim.seg, *stakes)) return watch_.on_not_contested(claim.seg);
    if (const auto credit = market_.credit(market_.self())) credit_before_ = *credit;
    dues_.note({id_, claim.seg, claim.attempt});
    const auto sent = is_game() ? market_.dispute(id_, claim.seg, stakes->bond_wei)
                                : market_.challenge(id_, claim.seg, stakes->bond_wei);
    if (!sent) return refused(claim.seg, sent.error());
    bond_wei_ = stakes->bond_wei;
    watch_.on_contested(claim.seg, sent->block);
    event(words.did, claim.seg, std::string(words.did) + " in block " + std::to_string(sent->block),
          {{"bondWei", to_decimal(stakes->bond_wei)},
           {"bountyWei", to_decimal(stakes->bounty_wei)},
           {"block", sent->block},
           {"tx", to_hex0x(sent->tx.bytes)}});
}

void Objector::refused(uint32_t seg, const wallet::WalletError& error) {
    const CourtWords& words = words_of(court_);
    if (is_passing(error))
        return pause(bar_, std::string(words.does) + " " + name_of(id_, seg) + ": " + error.text);
    watch_.on_not_contested(seg);
    const std::string kind = std::string("not ") + words.did;
    event(kind.c_str(), seg, kind + ": " + error.text, {{"why", error.text}});
}

/// What comes besides the bond.
std::string Objector::gain_words(const Stakes& stakes) const {
    if (stakes.bounty_wei.is_zero())
        return "nothing besides: a claim to diverge that is wrong costs its provider half a price, "
               "of which nobody has a part but the client";
    return in_coins(stakes.bounty_wei) + " besides, where the provider's whole bond is slashed" +
           (is_game() ? "; half of it where a committee has convicted the segment before" : "");
}

/// Says what is at stake, and asks where it must.
bool Objector::agree(uint32_t seg, const Stakes& stakes) {
    const CourtWords& words = words_of(court_);
    bar_.clear();
    out_.say(std::string(words.does) + " " + name_of(id_, seg) + " " + words.before + "\n  bond  " +
             in_coins(stakes.bond_wei) + ", " + words.returned + "\n  gain  " + gain_words(stakes) +
             (stakes.number == 0 ? ""
                                 : std::string("\n  ") + words.lost +
                                       std::to_string(stakes.number) + " times, and stood"));
    const std::string why = why_not(stakes);
    if (!why.empty()) {
        const std::string kind = std::string("not ") + words.did;
        event(kind.c_str(), seg, kind + ": " + why, {{"why", why}});
        return false;
    }
    return may_go_unasked(stakes) || confirmed(words.ask + std::string(" it?"));
}

/// --yes means one for each claim, or as many as the limit allows: a watch that is started again
/// and again must not double its bond each time.
bool Objector::may_go_unasked(const Stakes& stakes) const {
    const Uint256 limit = parse_coins(args_.bond_max).value_or(Uint256());
    return args_.yes && (stakes.number == 0 || !(limit < stakes.bond_wei));
}

/// What stands against it whatever the user says; may be empty.
std::string Objector::why_not(const Stakes& stakes) const {
    if (is_game()) {
        const auto spec = market_.spec(id_);
        if (!spec) return spec.error().text;
        const auto fits = verify::dispute_fits(market_, *spec, available_memory_bytes());
        if (!fits) return fits.error();
    }
    if (stakes.balance_wei < stakes.bond_wei)
        return "the bond is " + in_coins(stakes.bond_wei) + ", " + to_hex0x(market_.self().bytes) +
               " has " + coins(stakes.balance_wei);
    if (!may_go_unasked(stakes) && !can_ask())
        return std::string("a ") + words_of(court_).ask +
               " was lost before; --yes is for the first, --bond-max for later ones";
    return "";
}

// --- the game

void Objector::play(uint32_t seg, const wallet::Segment& segment) {
    const std::string name = name_of(id_, seg);
    const auto failed = [&](const std::string& why) { pause(bar_, name + ": " + why); };
    const auto dispute = market_.dispute_of(id_, seg);
    if (!dispute) return failed(dispute.error().text);
    if (dispute->challenger != market_.self())
        return failed("disputed by " + to_hex0x(dispute->challenger.bytes) + "; waiting");
    dues_.note({id_, seg, segment.attempt});
    watch_.on_contested(seg, dispute->moved_at);
    bond_wei_ = dispute->bond_wei;
    if (!game_ || game_->seg != seg || game_->attempt != segment.attempt) {
        auto request = case_of(market_, id_, seg, segment);
        if (!request) return failed(request.error().text);
        game_.emplace(Game{seg, segment.attempt,
                           verify::DisputePlayer(market_, verifier_, std::move(*request))});
    }
    bar_.show(name + " before the referee, " + std::to_string(dispute->moves) +
              " moves made, the next until block " + std::to_string(segment.phase_deadline) +
              (dispute->is_challengers ? ": computing what is wrong" : ": the provider's turn"));
    move(dispute->moves + 1);
}

void Objector::move(uint32_t number) {
    const auto step = game_->player.step();
    const std::string name = name_of(id_, game_->seg);
    if (!step) return pause(bar_, "cannot move in the dispute of " + name + ": " + step.error());
    if (*step == verify::DisputePlayer::Step::pointed)
        return event("moved", game_->seg,
                     "move " + std::to_string(number) + ": points at what is wrong",
                     {{"move", number}});
    if (*step == verify::DisputePlayer::Step::timed_out)
        return event("timed out", game_->seg, "is wrong: its provider has not moved in time",
                     json::object{});
    if (*step == verify::DisputePlayer::Step::no_move && !game_->is_lost) {
        game_->is_lost = true;
        const std::string why = "all that the provider has shown is right here, too";
        event("no move", game_->seg, "cannot be proven wrong: " + why, {{"why", why}});
    }
    std::this_thread::sleep_for(kPause);
}

// --- the end

void Objector::tell(const verify::Tell& end) {
    const std::pair<Ending, const char*> kWords[] = {
        {Ending::fell, "is void: it earns nothing and is trained again"},
        {Ending::dismissed, words_of(court_).dismissed},
        {Ending::appealed,
         "was found wrong, but its provider appeals: --dispute proves it before the referee"},
        {Ending::paid, "was paid although it does not match"},
        {Ending::window_over, "does not match, but its time for objections is over"},
        {Ending::too_early, "is still under audit: --follow contests it if that passes it"},
        {Ending::no_game,
         "cannot be disputed: it claims to diverge, and so no end that the referee could look at; "
         "--challenge takes it to a fresh committee"}};
    std::string words;
    for (const auto& [ending, text] : kWords)
        if (ending == end.ending) words = text;
    json::object fields{{"ending", to_text(end.ending)}, {"contested", end.was_contested}};
    if (court_ != Court::none && end.ending == Ending::fell) words += collect(end, fields);
    event("settled", end.seg, words, std::move(fields));
}

/// What the fall of the segment brought us, by an objection of this run or an earlier one.
std::string Objector::collect(const verify::Tell& end, json::object& fields) {
    // Where an earlier segment fell and this one with it, nobody has settled our objection.
    const auto back = market_.reclaim(id_, end.seg, end.attempt);
    if (!back && back.error().code != WalletErrorCode::reverted)
        return "; the bond may have to be reclaimed: " + back.error().text;
    const auto credit = market_.credit(market_.self());
    if (!credit || !end.was_contested) return "";
    const Uint256 gained = *credit < credit_before_ ? Uint256() : *credit - credit_before_;
    fields["creditedWei"] = to_decimal(gained);
    return std::string(bond_wei_ < gained ? "; bond and bounty, " : "; the bond, ") +
           in_coins(gained) + ", credited: `trainyard job withdraw` takes what is yours";
}

void Objector::take_back(uint64_t head) {
    for (const auto& bond : dues_.reclaim(market_, head).reclaimed)
        report("reclaimed", bond.job, bond.seg,
               "fell with an earlier one; what was put up is credited: `trainyard job withdraw` "
               "takes what is yours",
               {{"attempt", bond.attempt}});
}

void Objector::event(const char* kind, uint32_t seg, const std::string& words,
                     json::object fields) {
    report(kind, id_, seg, words, std::move(fields));
}

void Objector::report(const char* kind, uint64_t job, uint32_t seg, const std::string& words,
                      json::object fields) {
    bar_.clear();
    if (!out_.json) return out_.line(name_of(job, seg) + " " + words);
    json::object object{{"event", kind}, {"job", job}, {"segment", seg}};
    for (auto& [key, value] : fields) object[key] = std::move(value);
    out_.line(json::serialize(object));
}

}  // namespace trainyard::node::cli
