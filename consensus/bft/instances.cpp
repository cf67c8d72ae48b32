// SPDX-License-Identifier: Apache-2.0
// Handing over at the boundary, and what peers of other epochs are told.
#include "consensus/bft/instances.hpp"

#include <algorithm>
#include <iterator>

namespace trainyard::consensus::bft {
namespace {

/// The epoch of the block after a final one.
Epoch epoch_above(const FinalPoint& point, uint64_t length) {
    return epoch_of({point.header.number + 1}, length);
}

std::optional<Epoch> epoch_of_record(const Message& record) {
    const auto* block = std::get_if<BlockMessage>(&record);
    if (!block) return epoch_of_message(record);
    const auto seal = decode_seal(block->block->header.extra_data);
    return seal ? std::optional(seal->epoch) : std::nullopt;
}

}  // namespace

Instances::Instances(const Params& params, const ValidatorSets& sets, Recovered recovered,
                     Signer* signer, const Checks& checks)
    : params_(params), sets_(sets), signer_(signer), checks_(checks) {
    for (const auto& record : recovered.records)
        if (auto message = decode_message(record)) records_.push_back(std::move(*message));
    begin(std::move(recovered.final), {});
    out_.clear();
}

std::vector<Effect> Instances::step(const Input& input) {
    std::visit([this](const auto& i) { on(i); }, input);
    go_on();
    scatter_large_proposals();
    return std::exchange(out_, {});
}

void Instances::feed(const Input& input) {
    emit_all(machine_->step(input));
}

void Instances::emit_all(std::vector<Effect> effects) {
    out_.insert(out_.end(), std::make_move_iterator(effects.begin()),
                std::make_move_iterator(effects.end()));
}

void Instances::begin(FinalPoint root, std::set<PublicKey> silent) {
    epoch_ = epoch_above(root, params_.epoch_length);
    const SetPtr previous = epoch_.value == 0 ? nullptr : sets_.of_epoch(epoch_ - 1);
    machine_ = std::make_unique<Machine>(
        params_,
        Beginning{epoch_, sets_.of_epoch(epoch_), previous, std::move(root), std::move(silent)},
        records_, signer_, checks_);
    // Those of later epochs stay: a chain restored from a copy may be behind the votes it cast.
    std::erase_if(records_, [this](const Message& record) {
        const auto epoch = epoch_of_record(record);
        return !epoch || *epoch <= epoch_;
    });
    next_ = nullptr;
    relays_.erase(relays_.begin(), relays_.lower_bound(epoch_));
    asks_ = strangers_ = 0;
    out_.push_back(Forget{epoch_, {1}});
}

void Instances::go_on() {
    while (machine_->is_finished()) {
        pace_ = machine_->paced_view();
        begin(machine_->final_point(), machine_->silent());
        emit_all(machine_->begin(pace_.has_value()));
        replay();
    }
}

void Instances::replay() {
    const auto early = std::exchange(early_, {});
    early_proposals_ = 0;
    for (const auto& [peer, said] : early) {
        if (said.proposal) feed(Received{peer, *said.proposal});
        for (const auto& vote : said.votes) feed(Received{peer, vote});
    }
}

void Instances::on(const Received& input) {
    if (const auto* scatter = std::get_if<Scatter>(&input.message))
        return gather(input.from, *scatter);
    if (const auto* shards = std::get_if<Shards>(&input.message))
        return gather(input.from, *shards);
    take(input);
}

void Instances::take(const Received& input) {
    const auto epoch = epoch_of_message(input.message);
    if (!epoch || *epoch == epoch_) return feed(input);
    *epoch < epoch_ ? meet_older(input, *epoch) : meet_newer(input, *epoch);
}

void Instances::on(const Timeout& input) {
    const auto& id = input.id;
    if (id.kind == TimerKind::pace && id.epoch + 1 == epoch_ && pace_ == id.view) {
        pace_.reset();
        return feed(Timeout{{TimerKind::pace, epoch_, {1}}});
    }
    if (id.kind == TimerKind::repair && id.epoch == epoch_) asks_ = strangers_ = 0;
    feed(input);
}

void Instances::on(const Synced& input) {
    if (epoch_above(input.final, params_.epoch_length) <= epoch_) return feed(input);
    pace_.reset();
    early_.clear();
    early_proposals_ = 0;
    begin(input.final, machine_->silent());
    feed(Start{});
}

/// Who is behind asks with STATUS and GET_CERT; what ended its epoch brings it on.
void Instances::meet_older(const Received& input, Epoch epoch) {
    const bool asks = std::holds_alternative<Status>(input.message) ||
                      std::holds_alternative<GetCert>(input.message);
    if (!asks) return;
    if (!machine_->is_answered(input.from) && ++strangers_ > kStrangersPerRepairMax) return;
    out_.push_back(ServeBoundary{input.from, epoch});
}

/// This node is behind: saying where it stands makes the others help.
void Instances::meet_newer(const Received& input, Epoch epoch) {
    if (epoch == epoch_ + 1) keep(input.from, input.message);
    if (machine_->is_finished() || ++asks_ > kAsksPerRepairMax) return;
    out_.push_back(Send{input.from, machine_->own_status()});
}

View Instances::current_view(Epoch epoch) const {
    return epoch == epoch_ ? machine_->standing().view : View{1};
}

Relay* Instances::relay_of(Epoch epoch) {
    if (epoch != epoch_ && epoch != epoch_ + 1) return nullptr;
    if (const auto found = relays_.find(epoch); found != relays_.end()) return &found->second;
    const SetPtr set = sets_.of_epoch(epoch);
    const auto self = params_.self ? set->find_consensus_key(*params_.self) : std::nullopt;
    return &relays_.emplace(epoch, Relay(epoch, set, self, params_)).first->second;
}

/// Whether the sender of a scattered proposal leads its view, as far as is known here.
bool Instances::is_leader(const Scatter& proposal, Epoch epoch) {
    const View view = decode_seal(proposal.header.extra_data)->view;
    return epoch == epoch_ ? machine_->is_leader(proposal.leader, proposal.header.parent_hash, view)
                           : leads_early(proposal.leader, view);
}

/// The same of an early view of the next epoch.
bool Instances::leads_early(ValidatorIndex who, View view) {
    if (!next_) next_ = sets_.of_epoch(epoch_ + 1);
    const auto seed = machine_->next_epochs_seed();
    return view.value <= kEarlyViewsMax && (!seed || leader_of(*next_, *seed, view) == who);
}

void Instances::gather(const Peer& from, const Scatter& part) {
    const Epoch epoch = *epoch_of_message(part);
    auto* relay = relay_of(epoch);
    const auto sender = relay ? relay->set().find_p2p_key(from) : std::nullopt;
    if (sender)
        act_on(*relay, from, relay->on(*sender, part, current_view(epoch), is_leader(part, epoch)));
}

void Instances::gather(const Peer& from, const Shards& part) {
    auto* relay = relay_of(part.epoch);
    const auto sender = relay ? relay->set().find_p2p_key(from) : std::nullopt;
    if (sender) act_on(*relay, from, relay->on(*sender, part, current_view(part.epoch)));
}

/// The own shards leave before the vote on them; what is complete goes on as a whole proposal.
void Instances::act_on(const Relay& relay, const Peer& from, Relay::Outcome outcome) {
    const auto from_leader = [&](ValidatorIndex leader, Message message) {
        take(Received{relay.set().at(leader).p2p_key, std::move(message)});
    };
    if (outcome.is_bad_gift) out_.push_back(Misbehaved{from, "shards that are not good"});
    if (outcome.forward) {
        // Who leads next waits for the body more than anybody else.
        const bool is_known = outcome.forward->epoch == epoch_;
        const Peer next = is_known ? machine_->leader_of(outcome.forward->view + 1) : Peer{};
        out_.push_back(Broadcast{std::move(*outcome.forward), false, next});
    }
    if (outcome.head) from_leader(outcome.head->leader, std::move(*outcome.head));
    if (outcome.rebuilt) from_leader(outcome.rebuilt->leader, std::move(*outcome.rebuilt));
    if (!outcome.refused) return;
    const auto seal = decode_seal(outcome.refused->header.extra_data);
    if (seal->epoch == epoch_)
        emit_all(machine_->refuse_body(seal->view, outcome.refused->leader,
                                       hash_header(outcome.refused->header)));
}

void Instances::scatter_large_proposals() {
    for (size_t i = 0; i < out_.size(); ++i) {
        const auto* broadcast = std::get_if<Broadcast>(&out_[i]);
        const auto* proposal = broadcast ? std::get_if<Propose>(&broadcast->message) : nullptr;
        const auto epoch = proposal ? epoch_of_message(*proposal) : std::nullopt;
        auto* relay = epoch ? relay_of(*epoch) : nullptr;
        if (relay == nullptr) continue;
        auto parts = relay->scatter(*proposal);
        if (parts.empty()) continue;
        out_[i] = Broadcast{std::move(parts.back().second), true};
        parts.pop_back();
        std::vector<Effect> sends;
        for (auto& [to, scatter] : parts)
            sends.push_back(Send{relay->set().at(to).p2p_key, std::move(scatter)});
        out_.insert(out_.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                    std::make_move_iterator(sends.begin()), std::make_move_iterator(sends.end()));
    }
}

void Instances::keep(const Peer& from, const Message& message) {
    if (!next_) next_ = sets_.of_epoch(epoch_ + 1);
    if (!next_->find_p2p_key(from)) return;
    auto& early = early_[from];
    const auto* vote = std::get_if<Vote>(&message);
    if (!vote) return keep_proposal(from, message, early);
    if (early.votes.size() >= kEarlyVotesMax || vote->view.value > kEarlyViewsMax) return;
    early.votes.push_back(*vote);
}

/// One of each peer; the whole one takes the place of the one that came without its body.
void Instances::keep_proposal(const Peer& from, const Message& message, Early& early) {
    const auto* whole = std::get_if<Propose>(&message);
    const auto* part = std::get_if<Scatter>(&message);
    if (!whole && !part) return;
    if (early.proposal) {
        const auto* held = std::get_if<Scatter>(&*early.proposal);
        if (whole && held && hash_header(held->header) == whole->block->hash)
            early.proposal = message;
        return;
    }
    const auto& justification = whole ? whole->justification : part->justification;
    const auto& header = whole ? whole->block->header : part->header;
    const auto leader = whole ? whole->leader : part->leader;
    if (early_proposals_ >= kEarlyProposalsMax || justification.size() > kJustificationMax) return;
    if (!leads_early(leader, decode_seal(header.extra_data)->view)) return;
    early.proposal = message;
    ++early_proposals_;
    for (const auto& certificate : justification)
        if (certificate->epoch == epoch_ && certificate->kind == VoteKind::finalize)
            return feed(Received{from, Cert{certificate}});
}

Bft::Bft(const Params& params, const ValidatorSets& sets, Recovered recovered, Signer* signer,
         const Checks& checks)
    : instances_(std::make_unique<Instances>(params, sets, std::move(recovered), signer, checks)) {}
Bft::~Bft() = default;
Bft::Bft(Bft&&) noexcept = default;
Bft& Bft::operator=(Bft&&) noexcept = default;

std::vector<Effect> Bft::step(const Input& input) {
    return instances_->step(input);
}
Standing Bft::standing() const {
    return instances_->current().standing();
}
Waiting Bft::waiting() const {
    return instances_->current().waiting();
}
BlockPtr Bft::find_block(const Hash& hash) const {
    return instances_->current().find_block(hash);
}

}  // namespace trainyard::consensus::bft
