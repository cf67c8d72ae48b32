// SPDX-License-Identifier: Apache-2.0
// Typed calls of the market and the roles that tests play.
#include "market.hpp"

#include "core/assert.hpp"
#include "core/hash.hpp"
#include "core/merkle.hpp"
#include "training/referee/game.hpp"

namespace trainyard::contracts {
namespace {

constexpr std::string_view kPost =
    "post((bytes32,bytes32,bytes32,bytes32,uint32,uint32,uint32,uint64,uint64,uint256,uint256,"
    "uint64,address,string))";
constexpr std::string_view kQuote =
    "quote((bytes32,bytes32,bytes32,bytes32,uint32,uint32,uint32,uint64,uint64,uint256,uint256,"
    "uint64,address,string))";
constexpr std::string_view kOpen =
    "open(uint256,uint32,(uint32,uint32,uint32,bytes32,bytes32[],bytes32,uint32,uint32,uint8,"
    "bytes32[])[])";
const Hash kSalt = keccak256(as_bytes("salt"));

Abi segment_key(uint64_t job, uint32_t seg) {
    return Abi().word(job).word(seg);
}

Hash made_up(const Address& by, size_t i) {
    Bytes data(by.begin(), by.end());
    append_le(data, static_cast<uint32_t>(i));
    return keccak256(data);
}

}  // namespace

FakeSegment::FakeSegment(const JobSpec& spec, uint32_t seg, std::string story)
    : FakeSegment(spec, seg, std::move(story), {}) {
    first_ = value("state", first_step_);
}

FakeSegment::FakeSegment(const JobSpec& spec, uint32_t seg, std::string story, const Hash& first)
    : story_(std::move(story)),
      first_step_(seg * spec.steps),
      steps_(spec.steps),
      micro_batches_(spec.micro_batches),
      first_(first) {}

FakeSegment FakeSegment::with_other_sums() const {
    FakeSegment out = *this;
    out.sum_ = "other gradient";
    return out;
}

FakeSegment FakeSegment::diverging_at(uint32_t step) const {
    FakeSegment out = *this;
    out.diverges_at_ = step;
    return out;
}

bool FakeSegment::claims_the_same(const FakeSegment& other) const {
    if (diverges_at_ > 0 || other.diverges_at_ > 0) return diverges_at_ == other.diverges_at_;
    return steps_root() == other.steps_root();
}

Hash FakeSegment::value(std::string_view what, uint32_t a, uint32_t b) const {
    Bytes data(story_.begin(), story_.end());
    append(data, as_bytes(what));
    append_le(data, a);
    append_le(data, b);
    return keccak256(data);
}

uint32_t FakeSegment::tuple_loss(uint32_t t) const {
    return load_le<uint32_t>(value("loss", t).data());
}

uint32_t FakeSegment::unit_loss(const UnitAt& at) const {
    return load_le<uint32_t>(value("unit loss", at.t, at.j).data());
}

Hash FakeSegment::unit_leaf(const UnitAt& at) const {
    Bytes data{0x10};
    append_le(data, at.t);
    append_le(data, at.j);
    append_le(data, unit_loss(at));
    append(data, value("unit gradient", at.t, at.j).bytes);
    return sha256(data);
}

std::vector<Hash> FakeSegment::unit_leaves(uint32_t t) const {
    std::vector<Hash> out;
    for (uint32_t j = 0; j < micro_batches_; ++j) out.push_back(unit_leaf({t, j}));
    return out;
}

Hash FakeSegment::tuple(uint32_t t) const {
    Bytes data{0x11};
    append_le(data, t);
    append(data, merkle::root(unit_leaves(t)).bytes);
    append(data, value(sum_, t).bytes);
    append_le(data, load_le<uint32_t>(value("norm", t).data()));
    append_le(data, tuple_loss(t));
    data.push_back(0);
    return sha256(data);
}

std::vector<Hash> FakeSegment::values() const {
    std::vector<Hash> out;
    for (uint32_t i = 0; i < 2 * steps_ + 1; ++i)
        out.push_back(i % 2 == 0 ? state_root(i / 2) : tuple(first_step_ + i / 2));
    return out;
}

std::vector<Hash> FakeSegment::sequence() const {
    std::vector<Hash> out;
    for (const Hash& value : values()) {
        Bytes data{0x12};
        append_le(data, static_cast<uint32_t>(out.size()));
        append(data, value.bytes);
        out.push_back(sha256(data));
    }
    return out;
}

Bytes FakeSegment::show_steps() const {
    std::vector<Hash> whole;
    for (uint32_t i = 1; i < steps_; ++i) whole.push_back(value("whole state", first_step_ + i));
    return training::referee::move::show_steps(values(), whole);
}

std::optional<Moved> moved_in(const Sent& sent) {
    static const Hash topic = keccak256(as_bytes("DisputeMoved(uint256,uint32,uint8,bytes)"));
    for (const Log& log : sent.logs) {
        if (log.topics.at(0) != topic) continue;
        const BytesView from = BytesView(log.data).subspan(word_at(log.data, 1).low());
        const BytesView state = from.subspan(32, word_at(from, 0).low());
        return Moved{word_at(log.data, 0).low(), {state.begin(), state.end()}};
    }
    return std::nullopt;
}

Hash FakeSegment::steps_root() const {
    return merkle::root(sequence());
}

Abi FakeSegment::opening(const UnitAt& at) const {
    return Abi()
        .word(at.t)
        .word(at.j)
        .word(unit_loss(at))
        .hash(value("unit gradient", at.t, at.j))
        .hashes(merkle::path(unit_leaves(at.t), at.j))
        .hash(value(sum_, at.t))
        .word(load_le<uint32_t>(value("norm", at.t).data()))
        .word(tuple_loss(at.t))
        .word(0)
        .hashes(merkle::path(sequence(), 2 * (at.t - first_step_) + 1));
}

Hash FakeSegment::digest() const {
    Sha256 hash;
    const uint32_t done = diverges_at_ > 0 ? diverges_at_ - 1 : steps_;
    for (uint32_t t = first_step_; t < first_step_ + done; ++t)
        for (const Hash& leaf : unit_leaves(t)) hash.update(leaf.bytes);
    return hash.finish();
}

std::vector<ChainValidator> make_validators(size_t count) {
    std::vector<ChainValidator> out;
    for (size_t i = 0; i < count; ++i)
        out.push_back({actor("validator " + std::to_string(i)), kCoin * (32 + i)});
    return out;
}

Abi encode_spec(const JobSpec& spec, uint64_t now) {
    return Abi()
        .hash(keccak256(as_bytes("program")))
        .hash(spec.program_id)
        .hash(keccak256(as_bytes("data")))
        .hash(keccak256(as_bytes("client seed")))
        .word(spec.segments)
        .word(spec.steps)
        .word(spec.micro_batches)
        .word(spec.segment_blocks)
        .word(spec.deadline == 0 ? now + 86'400 : spec.deadline)
        .word(spec.price)
        .word(spec.audit_fee)
        .word(spec.unit_work)
        .address(spec.provider)
        .text(spec.licence);
}

Market::Market(size_t count, std::map<std::string, Uint256> overrides)
    : chain(make_validators(count),
            (overrides.try_emplace("replayBps", 0), overrides.try_emplace("bondFactor", 8),
             overrides.try_emplace("windowBlocks", 0), overrides)) {
    for (const ChainValidator& v : make_validators(count)) validators.push_back(v.operator_address);
    chain.mine(8);
}

void Market::add_provider(const Address& who, const Uint256& stake) {
    chain.give(who, stake);
    const Bytes data =
        call_data("register(string,string,string)", Abi().text("p").text("http://p").text("cpu"));
    ASSERT(chain.send(who, chain.address("ProviderRegistry"), data, stake).ok);
}

Sent Market::call(const Address& from, std::string_view signature, const Abi& args,
                  const Uint256& value) {
    Sent sent = chain.send(from, at(), call_data(signature, args), value);
    told_.push_back(sent.logs);
    return sent;
}

Sent Market::post(const Address& client, JobSpec spec, const Uint256& value) {
    return call(client, kPost, Abi().dynamic(encode_spec(spec, chain.timestamp())), value);
}

uint64_t Market::post(const Address& client, const JobSpec& spec) {
    const Uint256 escrow = quote(spec);
    chain.give(client, escrow);
    const Sent sent = post(client, spec, escrow);
    ASSERT(sent.ok);
    return word_at(sent.output, 0).low();
}

Sent Market::commit(const Address& from, uint64_t job, uint32_t seg, const FakeSegment& made) {
    if (made.diverges_at() > 0)
        return commit_divergence(from, job, seg, made.first(), made.diverges_at());
    const Abi args =
        segment_key(job, seg).hash(made.first()).hash(made.last()).hash(made.steps_root());
    return call(from, "commit(uint256,uint32,bytes32,bytes32,bytes32,uint32,bytes32)",
                Abi(args).word(made.loss_bits()).hash(keccak256(as_bytes("state blob"))));
}

Sent Market::commit_divergence(const Address& from, uint64_t job, uint32_t seg, const Hash& first,
                               uint32_t step) {
    return call(from, "commitDivergence(uint256,uint32,bytes32,uint32)",
                segment_key(job, seg).hash(first).word(step));
}

Sent Market::simple(const Address& from, std::string_view name, uint64_t job) {
    return call(from, std::string(name) + "(uint256)", Abi().word(job));
}

Sent Market::on_segment(const Address& from, std::string_view name, uint64_t job, uint32_t seg) {
    return call(from, std::string(name) + "(uint256,uint32)", segment_key(job, seg));
}

Sent Market::serve(const Address& from, uint64_t job, uint32_t seg) {
    return call(from, "serve(uint256,uint32,bytes32)",
                segment_key(job, seg).hash(keccak256(as_bytes("bundle"))));
}

Sent Market::open(const Address& from, uint64_t job, uint32_t seg, const FakeSegment& made) {
    std::vector<Abi> openings;
    for (const UnitAt& at : units_to_open(job, seg)) openings.push_back(made.opening(at));
    return call(from, kOpen, segment_key(job, seg).tuples(openings));
}

Sent Market::finalize(uint64_t job, uint32_t max) {
    return call(actor("anyone"), "finalize(uint256,uint32)", Abi().word(job).word(max));
}

Sent Market::challenge(const Address& from, uint64_t job, uint32_t seg, const Uint256& wei) {
    chain.give(from, wei);
    return call(from, "challenge(uint256,uint32)", segment_key(job, seg), wei);
}

Sent Market::reclaim(uint64_t job, uint32_t seg, uint64_t attempt) {
    return call(actor("anyone"), "reclaim(uint256,uint32,uint32)",
                segment_key(job, seg).word(attempt));
}

Sent Market::dispute(const Address& from, uint64_t job, uint32_t seg, const Uint256& wei) {
    chain.give(from, wei);
    return call(from, "dispute(uint256,uint32)", segment_key(job, seg), wei);
}

Sent Market::appeal(const Address& from, uint64_t job, uint32_t seg, const Uint256& wei) {
    chain.give(from, wei);
    return call(from, "appeal(uint256,uint32)", segment_key(job, seg), wei);
}

Sent Market::play(const Address& from, uint64_t job, uint32_t seg, BytesView state,
                  BytesView move) {
    return call(from, "play(uint256,uint32,bytes,bytes)",
                segment_key(job, seg).bytes(state).bytes(move));
}

Sent Market::timeout(uint64_t job, uint32_t seg) {
    return on_segment(actor("anyone"), "timeout", job, seg);
}

Sent Market::commit_answer(const Address& from, uint64_t job, uint32_t seg, Verdict v,
                           const std::vector<Hash>& answers) {
    const SegmentView s = segment(job, seg);
    const Abi preimage =
        segment_key(job, seg).word(s.attempt).word(static_cast<uint64_t>(s.state)).word(s.round);
    const Bytes c = Abi(preimage)
                        .address(from)
                        .word(static_cast<uint64_t>(v))
                        .hashes(answers)
                        .hash(kSalt)
                        .encode();
    return call(from, "commitAnswer(uint256,uint32,bytes32)",
                segment_key(job, seg).hash(keccak256(c)));
}

Sent Market::reveal_answer(const Address& from, uint64_t job, uint32_t seg, Verdict v,
                           const std::vector<Hash>& answers) {
    return call(from, "revealAnswer(uint256,uint32,uint8,bytes32[],bytes32)",
                segment_key(job, seg).word(static_cast<uint64_t>(v)).hashes(answers).hash(kSalt));
}

void Market::open_audit(uint64_t job, uint32_t seg) {
    while (!on_segment(actor("anyone"), "openAudit", job, seg).ok ||
           segment(job, seg).state == SegmentState::committed)
        chain.mine();
}

void Market::commit_and_reveal(
    uint64_t job, uint32_t seg, const std::map<Address, Manners>& manners,
    const std::map<Address, std::pair<Verdict, std::vector<Hash>>>& answers) {
    const auto manners_of = [&](const Address& a) {
        const auto found = manners.find(a);
        return found == manners.end() ? Manners::honest : found->second;
    };
    size_t committed = 0, revealed = 0;
    for (const auto& [auditor, answer] : answers) {
        if (manners_of(auditor) == Manners::silent) continue;
        ASSERT(commit_answer(auditor, job, seg, answer.first, answer.second).ok);
        ++committed;
    }
    if (committed < answers.size()) pass_deadline(job, seg);
    if (committed == 0) return;
    for (const auto& [auditor, answer] : answers) {
        if (manners_of(auditor) == Manners::silent || manners_of(auditor) == Manners::no_reveal)
            continue;
        ASSERT(reveal_answer(auditor, job, seg, answer.first, answer.second).ok);
        ++revealed;
    }
    if (revealed < committed) pass_deadline(job, seg);
}

void Market::run_round(uint64_t job, uint32_t seg, const FakeSegment& truth,
                       const std::map<Address, Manners>& manners) {
    std::map<Address, std::pair<Verdict, std::vector<Hash>>> answers;
    for (const Address& auditor : auditors(job, seg)) {
        const auto found = manners.find(auditor);
        const Manners how = found == manners.end() ? Manners::honest : found->second;
        auto& [verdict, leaves] = answers[auditor];
        const bool alarms = how == Manners::alarm || how == Manners::bad_bundle;
        verdict = alarms ? Verdict::mismatch : Verdict::match;
        if (how == Manners::bad_bundle) continue;
        for (const UnitAt& unit : units_of(job, seg, auditor))
            leaves.push_back(how == Manners::wrong ? made_up(auditor, leaves.size())
                                                   : truth.unit_leaf(unit));
    }
    commit_and_reveal(job, seg, manners, answers);
}

void Market::run_level1(uint64_t job, uint32_t seg, const FakeSegment& truth,
                        const std::map<Address, Manners>& manners) {
    const SegmentView s = segment(job, seg);
    const bool is_right = truth.diverges_at() > 0 ? s.diverges_at == truth.diverges_at()
                                                  : s.steps_root == truth.steps_root();
    const Hash digest = s.round == 0 ? sha256(truth.digest().bytes) : truth.digest();
    std::map<Address, std::pair<Verdict, std::vector<Hash>>> answers;
    for (const Address& auditor : auditors(job, seg)) {
        const auto found = manners.find(auditor);
        if (found != manners.end() && found->second == Manners::bad_bundle) {
            answers[auditor] = {Verdict::mismatch, {Hash{}}};
            continue;
        }
        if (found != manners.end() && found->second == Manners::withheld) {
            answers[auditor] = {Verdict::mismatch, {to_hash(Uint256(1))}};
            continue;
        }
        if (found != manners.end() && found->second == Manners::lazy) {
            answers[auditor] = {Verdict::match, {made_up(auditor, 0)}};
            continue;
        }
        const bool is_wrong = found != manners.end() && found->second == Manners::wrong;
        const Verdict verdict = is_right != is_wrong ? Verdict::match : Verdict::mismatch;
        answers[auditor] = {verdict, {is_wrong ? made_up(auditor, 0) : digest}};
    }
    commit_and_reveal(job, seg, manners, answers);
}

void Market::audit_honestly(uint64_t job, uint32_t seg, const FakeSegment& made) {
    open_audit(job, seg);
    const Address provider = segment(job, seg).provider;
    ASSERT(serve(provider, job, seg).ok);
    run_round(job, seg, made);
    ASSERT(open(provider, job, seg, made).ok);
    ASSERT(segment(job, seg).state == SegmentState::accepted);
}

void Market::pass_deadline(uint64_t job, uint32_t seg) {
    const uint64_t deadline = segment(job, seg).phase_deadline;
    if (chain.number() <= deadline) chain.mine(deadline + 1 - chain.number());
    ASSERT(on_segment(actor("anyone"), "advance", job, seg).ok);
}

Bytes Market::view(std::string_view signature, const Abi& args) {
    return chain.call(at(), call_data(signature, args));
}

uint64_t Market::open_disputes(const Address& provider) {
    return word_at(chain.call(at(), call_data("openDisputes(address)", Abi().address(provider))), 0)
        .low();
}
JobView Market::job(uint64_t id) {
    const Bytes out = view("job(uint256)", Abi().word(id));
    JobView j;
    j.client = address_at(out, 0);
    j.provider = address_at(out, 1);
    j.state = static_cast<JobState>(word_at(out, 2).low());
    j.outcome = static_cast<Outcome>(word_at(out, 3).low());
    j.tip = word_at(out, 4).low();
    j.final_segments = word_at(out, 5).low();
    j.attempt = word_at(out, 6).low();
    j.segment_deadline = word_at(out, 7).low();
    j.tip_root = hash_at(out, 8);
    j.escrow = word_at(out, 9);
    j.run_seed = hash_at(out, 10);
    j.model_token = word_at(out, 11).low();
    return j;
}

SegmentView Market::segment(uint64_t job, uint32_t seg) {
    const Bytes out = view("segment(uint256,uint32)", segment_key(job, seg));
    SegmentView s;
    s.state = static_cast<SegmentState>(word_at(out, 0).low());
    s.provider = address_at(out, 1);
    s.attempt = word_at(out, 2).low();
    s.first = hash_at(out, 4);
    s.last = hash_at(out, 5);
    s.steps_root = hash_at(out, 6);
    s.root = hash_at(out, 7);
    s.bundle_blob = hash_at(out, 9);
    s.seed_epoch = word_at(out, 11).low();
    s.phase_deadline = word_at(out, 12).low();
    s.round = word_at(out, 13).low();
    s.diverges_at = word_at(out, 14).low();
    return s;
}

Phase Market::phase(uint64_t job, uint32_t seg) {
    return static_cast<Phase>(
        word_at(view("phase(uint256,uint32)", segment_key(job, seg)), 0).low());
}

std::vector<Address> Market::auditors(uint64_t job, uint32_t seg) {
    std::vector<Address> out;
    const Bytes output = view("auditors(uint256,uint32)", segment_key(job, seg));
    const size_t count = array_at(output, 0).size();
    for (size_t i = 0; i < count; ++i) out.push_back(address_at(output, 2 + i));
    return out;
}

std::vector<UnitAt> Market::units(const Bytes& output) const {
    const std::vector<Uint256> t = array_at(output, 0), j = array_at(output, 1);
    std::vector<UnitAt> out;
    for (size_t i = 0; i < t.size(); ++i)
        out.push_back({static_cast<uint32_t>(t[i].low()), static_cast<uint32_t>(j[i].low())});
    return out;
}

std::vector<UnitAt> Market::units_of(uint64_t job, uint32_t seg, const Address& auditor) {
    return units(view("unitsOf(uint256,uint32,address)", segment_key(job, seg).address(auditor)));
}

std::vector<UnitAt> Market::units_to_open(uint64_t job, uint32_t seg) {
    return units(view("unitsToOpen(uint256,uint32)", segment_key(job, seg)));
}

QueueView Market::audit_queue() {
    const Bytes out = view("auditQueue()", Abi());
    return {word_at(out, 0).low(), word_at(out, 1).low()};
}

uint64_t Market::audit_wait(uint64_t job, uint32_t seg) {
    return word_at(view("auditWait(uint256,uint32)", segment_key(job, seg)), 0).low();
}

Uint256 Market::challenge_bond(uint64_t job, uint32_t seg) {
    return word_at(view("challengeBond(uint256,uint32)", segment_key(job, seg)), 0);
}

ChallengeView Market::challenge_of(uint64_t job, uint32_t seg) {
    const Bytes out = view("challengeOf(uint256,uint32)", segment_key(job, seg));
    return {address_at(out, 0), word_at(out, 1).low(), word_at(out, 2)};
}

Uint256 Market::dispute_bond(uint64_t job, uint32_t seg, const Address& by) {
    const Abi args = Abi().word(job).word(seg).address(by);
    return word_at(view("disputeBond(uint256,uint32,address)", args), 0);
}

DisputeView Market::dispute_of(uint64_t job, uint32_t seg) {
    const Bytes out = view("disputeOf(uint256,uint32)", segment_key(job, seg));
    const auto number = [&](size_t i) { return word_at(out, i).low(); };
    return {address_at(out, 0), number(1),       number(2),      number(3),
            number(4),          word_at(out, 5), hash_at(out, 6)};
}

Uint256 Market::appeal_bond(uint64_t job) {
    return word_at(view("appealBond(uint256)", Abi().word(job)), 0);
}

Uint256 Market::credit(const Address& of) {
    return word_at(view("credit(address)", Abi().address(of)), 0);
}

Uint256 Market::quote(const JobSpec& spec) {
    return word_at(view(kQuote, Abi().dynamic(encode_spec(spec, chain.timestamp()))), 0);
}

Uint256 Market::stake_of(const Address& validator) {
    return word_at(chain.call(chain.address("Staking"),
                              call_data("stakeOf(address)", Abi().address(validator))),
                   0);
}

Uint256 Market::weight_of(const Address& validator, uint64_t mini_epoch) {
    const Abi args = Abi().address(validator).word(mini_epoch);
    return word_at(
        chain.call(chain.address("Staking"), call_data("weightAt(address,uint256)", args)), 0);
}

Uint256 Market::bond_of(uint64_t job, const Address& provider) {
    return word_at(view("bondOf(uint256,address)", Abi().word(job).address(provider)), 0);
}

uint64_t Market::segments_of_model(uint64_t token) {
    const Bytes out =
        chain.call(chain.address("ModelRegistry"), call_data("record(uint256)", Abi().word(token)));
    return word_at(out, 8).low();
}

std::vector<Uint256> Market::provider_money(const Address& provider) {
    const Bytes out = chain.call(chain.address("ProviderRegistry"),
                                 call_data("provider(address)", Abi().address(provider)));
    return {word_at(out, 4), word_at(out, 5), word_at(out, 6)};
}

}  // namespace trainyard::contracts
