// SPDX-License-Identifier: Apache-2.0
// What holds the states inside a segment, of which the weights alone are committed.
#include <algorithm>
#include <functional>

#include "core/merkle.hpp"
#include "tests/training/fixture.hpp"
#include "training/audit_format.hpp"

namespace trainyard::training {
namespace {

/// A provider that keeps all states, so that each may be another than training gives. It lays out
/// bundles from what it kept: the updates of the log are not asked.
struct Keeper {
    using Change = std::function<void(uint32_t i, ModelState& state)>;

    Program program = small_program();
    Hash id = program_id(program);
    Bytes text = make_text(4000);
    std::unique_ptr<Backend> backend = make_cpu_backend({});
    Engine engine = std::move(*Engine::make(program, *backend));
    std::vector<ModelState> states;
    std::vector<std::vector<Tensor>> gradients;
    SegmentRecord record;

    /// `change` may alter S_i before training goes on from it.
    explicit Keeper(uint32_t steps, const Change& change = {}, uint32_t skip = 0) {
        ModelState state = make_initial_state(program, seed_of(5));
        for (uint32_t i = 0; i < skip; ++i) EXPECT_TRUE(run_step(engine, state, text).has_value());
        record.first_step = skip;
        states.push_back(state);
        for (uint32_t i = 1; i <= steps; ++i) {
            auto step = run_step(engine, state, text);
            EXPECT_TRUE(step.has_value());
            std::vector<Unit> units;
            for (size_t j = 0; j < step->unit_loss_bits.size(); ++j)
                units.push_back({step->unit_loss_bits[j], step->unit_grad_roots[j]});
            record.tuples.push_back({units_root(skip + i - 1, units), step->grad_root,
                                     step->norm_bits, step->loss_bits, 0});
            record.units.push_back(units);
            gradients.push_back(step->gradients.to_host());
            if (change) change(i, state);
            states.push_back(state);
        }
        record.states.first = state_root(states.front(), id);
        for (uint32_t i = 1; i < steps; ++i)
            record.states.weights_inside.push_back(weights_root(states[i], id));
        record.states.last = state_root(states.back(), id);
    }

    [[nodiscard]] bundle::Content content(const AuditDraws& draws) const {
        bundle::Content out{record.states, record.tuples, {}, {}, {}};
        out.tiles.resize(draws.tiles.size());
        for (size_t i = 0; i < states.size(); ++i) add_state(out, draws, i);
        for (const auto& sum : gradients) {
            std::vector<Hash> leaves;
            for (const Tensor& g : sum) leaves.push_back(tensor_leaf(g));
            for (size_t k = 0; k < draws.tiles.size(); ++k) {
                const auto [tensor, tile] = draws.tiles[k];
                out.tiles[k].steps.push_back(
                    {read_tile(sum[tensor], tile),
                     {merkle::path(tile_leaves(sum[tensor]), tile), merkle::path(leaves, tensor)}});
            }
        }
        return out;
    }

    void add_state(bundle::Content& out, const AuditDraws& draws, size_t i) const {
        const ModelState& s = states[i];
        const bool whole = i == 0 || i + 1 == states.size();
        const size_t count = program.parameters.size();
        const auto leaves = whole ? state_leaves(s, id) : weights_leaves(s, id);
        out.scalar_paths.push_back(merkle::path(leaves, whole ? 3 * count : count));
        const auto drawn = bundle::drawn_steps(draws);
        if (std::find(drawn.begin(), drawn.end(), s.step) != drawn.end()) {
            auto& step = out.weights.emplace_back();
            step.t = static_cast<uint32_t>(s.step);
            step.w = s.w;
            if (i == 0)
                step.m_v_leaves.assign(leaves.begin() + static_cast<ptrdiff_t>(count),
                                       leaves.end() - 1);
        }
        for (size_t k = 0; k < draws.tiles.size(); ++k) {
            const auto [tensor, tile] = draws.tiles[k];
            bundle::TileTrace& trace = out.tiles[k];
            if (i == 0)
                trace.w = read_tile(s.w[tensor], tile), trace.m = read_tile(s.m[tensor], tile),
                trace.v = read_tile(s.v[tensor], tile);
            auto& paths = trace.states.emplace_back();
            const std::vector<Tensor>* kinds[] = {&s.w, &s.m, &s.v};
            for (size_t kind = 0; kind < (whole ? 3U : 1U); ++kind)
                paths.push_back({merkle::path(tile_leaves((*kinds[kind])[tensor]), tile),
                                 merkle::path(leaves, kind * count + tensor)});
        }
    }

    AuditAnswer judge(const AuditDraws& draws, const Bytes& served) {
        const AuditInputs inputs{claim_of(record), seed_of(5), text, draws};
        const auto answer = check_bundle_and_audit(engine, served, inputs);
        EXPECT_TRUE(answer.has_value());
        return *answer;
    }
    AuditAnswer audit(const AuditDraws& draws) {
        return judge(draws, bundle::encode(content(draws)));
    }
};

const AuditDraws kDraws{{{0, 1}, {2, 0}}, {{3, 1}, {0, 0}}};

void spoil(std::vector<Tensor>& tensors) {
    for (Tensor& t : tensors)
        for (float& x : t.data) x = x * 1.5F + 1e-9F;
}

TEST(weights_root, sees_weights_and_counters_and_nothing_else) {
    const Keeper k(1);
    const ModelState& state = k.states[1];
    const Hash due = weights_root(state, k.id);
    EXPECT_NE(due, state_root(state, k.id));
    ModelState changed = state;
    spoil(changed.m), spoil(changed.v);
    EXPECT_EQ(weights_root(changed, k.id), due);
    changed = state;
    changed.w.back().data.back() += 1.0F;
    EXPECT_NE(weights_root(changed, k.id), due);
    changed = state;
    changed.cursor += 1;
    EXPECT_NE(weights_root(changed, k.id), due);
    changed = state;
    changed.p2_bits ^= 1;
    EXPECT_NE(weights_root(changed, k.id), due);
    EXPECT_NE(weights_root(state, Hash{}), due);
}

TEST(weights_root, is_that_of_the_first_tensor_leaves_and_the_last_leaf_of_the_state) {
    const Keeper k(1);
    const size_t count = k.program.parameters.size();
    const auto whole = state_leaves(k.states[1], k.id);
    std::vector<Hash> leaves(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(count));
    leaves.push_back(whole.back());
    EXPECT_EQ(weights_root(k.states[1], k.id), merkle::root(leaves));
}

TEST(inside_segment, what_is_kept_gives_the_record_and_the_bundle_of_the_log) {
    for (const uint32_t steps : {1U, 2U, 6U})
        for (const uint32_t skip : {0U, 3U}) {
            Keeper k(steps, {}, skip);
            ModelState state = k.states.front();
            const auto log = run_segment(k.engine, state, k.text, {steps, Fault::none, {}});
            ASSERT_TRUE(log.has_value());
            EXPECT_EQ(log->record, k.record);
            const AuditDraws draws{{{skip, 2}, {skip + steps - 1, 0}}, kDraws.tiles};
            const auto served = make_bundle(k.program, *k.backend, *log, draws);
            ASSERT_TRUE(served.has_value());
            EXPECT_EQ(*served, bundle::encode(k.content(draws)));
            const AuditAnswer answer = k.judge(draws, *served);
            EXPECT_TRUE(answer.matches()) << to_text(answer.finding) << ", n = " << steps;
            EXPECT_EQ(answer.units[1],
                      unit_leaf(skip + steps - 1, 0, k.record.units[steps - 1][0]));
        }
}

TEST(inside_segment, a_segment_that_knows_its_first_root_commits_to_the_same) {
    Keeper k(2);
    SegmentOptions options{2, Fault::none, {}};
    options.first_root = k.record.states.first;
    ModelState state = k.states.front();
    const auto log = run_segment(k.engine, state, k.text, options);
    ASSERT_TRUE(log.has_value());
    EXPECT_EQ(log->record, k.record);
}

TEST(inside_segment, a_wrong_m_or_v_is_found_by_the_next_weights) {
    for (const auto which : {&ModelState::m, &ModelState::v})
        for (const uint32_t at : {1U, 3U, 5U}) {
            Keeper k(6, [&](uint32_t i, ModelState& s) {
                if (i == at) spoil(s.*which);
            });
            const AuditAnswer answer = k.audit(kDraws);
            EXPECT_EQ(answer.finding, AuditFinding::update);
            EXPECT_EQ(answer.step, at) << "the update that leads to the weights after it";
            EXPECT_EQ(answer.units.size(), kDraws.units.size());
        }
}

TEST(inside_segment, a_wrong_m_or_v_at_the_end_is_found_there) {
    for (const auto which : {&ModelState::m, &ModelState::v}) {
        Keeper k(6, [&](uint32_t i, ModelState& s) {
            if (i == 6) spoil(s.*which);
        });
        const AuditAnswer answer = k.audit(kDraws);
        EXPECT_EQ(answer.finding, AuditFinding::update);
        EXPECT_EQ(answer.step, 5U);
    }
}

/// Weights that hide what a wrong m did to them are those of the rule: nothing was gained. With
/// m still wrong at the end it is found there.
TEST(inside_segment, a_wrong_m_under_right_weights_is_found_at_the_end) {
    const Keeper honest(6);
    Keeper k(6);
    for (size_t i = 3; i <= 6; ++i) spoil(k.states[i].m);
    EXPECT_EQ(weights_root(k.states[4], k.id), honest.record.states.root(4));
    k.record.states.last = state_root(k.states.back(), k.id);
    const AuditAnswer answer = k.audit(kDraws);
    EXPECT_EQ(answer.finding, AuditFinding::update);
    EXPECT_EQ(answer.step, 5U);
}

TEST(inside_segment, wrong_weights_of_one_state_are_found_by_the_tile_and_by_the_unit) {
    Keeper k(6);
    spoil(k.states[2].w);
    k.record.states.weights_inside[1] = weights_root(k.states[2], k.id);
    AuditAnswer answer = k.audit(kDraws);
    EXPECT_EQ(answer.finding, AuditFinding::update);
    EXPECT_EQ(answer.step, 1U);
    answer = k.audit({kDraws.units, {}});  // no tile: the weights are those committed ...
    EXPECT_TRUE(answer.matches());
    EXPECT_NE(answer.units[1], unit_leaf(2, 0, k.record.units[2][0])) << "... and give others";
}

TEST(inside_segment, a_root_of_the_other_kind_or_of_another_step_is_found) {
    const auto finds = [](uint32_t skip, const auto& change) {
        Keeper k(6, {}, skip);
        change(k);
        return k.audit({{{skip + 2, 0}}, kDraws.tiles});
    };
    AuditAnswer answer = finds(
        0, [](Keeper& k) { k.record.states.weights_inside[1] = state_root(k.states[2], k.id); });
    EXPECT_EQ(answer.finding, AuditFinding::scalars);
    EXPECT_EQ(answer.step, 2U);
    EXPECT_TRUE(answer.units.empty()) << "the weights do not lead to that root either";
    answer = finds(0, [](Keeper& k) { k.record.states.last = weights_root(k.states[6], k.id); });
    EXPECT_EQ(answer.finding, AuditFinding::scalars);
    EXPECT_EQ(answer.step, 6U);
    answer = finds(3, [](Keeper& k) { k.record.states.first = weights_root(k.states[0], k.id); });
    EXPECT_EQ(answer.finding, AuditFinding::scalars);
    EXPECT_EQ(answer.step, 3U);
    answer = finds(0, [](Keeper& k) {
        std::swap(k.record.states.weights_inside[2], k.record.states.weights_inside[3]);
    });
    EXPECT_EQ(answer.finding, AuditFinding::scalars);
    EXPECT_EQ(answer.step, 3U);
}

TEST(inside_segment, a_root_that_is_not_the_committed_one_is_found) {
    Keeper k(6);
    bundle::Content content = k.content(kDraws);
    content.states.weights_inside[3][0] ^= 1;
    EXPECT_EQ(k.judge(kDraws, bundle::encode(content)).finding, AuditFinding::steps_root);
}

TEST(inside_segment, a_unit_of_the_first_step_needs_the_leaves_of_m_and_v) {
    Keeper k(6);
    for (const size_t leaf : {size_t{0}, 2 * k.program.parameters.size() - 1}) {
        bundle::Content content = k.content(kDraws);
        content.weights[0].m_v_leaves[leaf][0] ^= 1;
        const AuditAnswer answer = k.judge(kDraws, bundle::encode(content));
        EXPECT_EQ(answer.finding, AuditFinding::weights);
        EXPECT_EQ(answer.step, 0U);
    }
}

TEST(inside_segment, rejects_bundles_with_more_or_less_than_is_due) {
    Keeper k(6);
    const auto finding = [&](const auto& change) {
        bundle::Content content = k.content(kDraws);
        change(content);
        return k.judge(kDraws, bundle::encode(content)).finding;
    };
    using bundle::Content;
    EXPECT_EQ(finding([](Content&) {}), AuditFinding::match);
    const std::function<void(Content&)> changes[] = {
        [](Content& c) { c.scalar_paths[2].emplace_back(); },
        [](Content& c) { c.scalar_paths[0].pop_back(); },
        [](Content& c) { c.weights[0].m_v_leaves.clear(); },
        [&](Content& c) { c.weights[1].m_v_leaves = c.weights[0].m_v_leaves; },
        [](Content& c) { c.tiles[0].states[2][0].in_root.pop_back(); },
        [](Content& c) { c.tiles[0].states[2].push_back(c.tiles[0].states[2][0]); },
        [](Content& c) { c.tiles[0].states[6].pop_back(); },
        [](Content& c) { c.states.weights_inside.pop_back(); },
        [](Content& c) { c.tuples.pop_back(); }};
    for (const auto& change : changes) EXPECT_EQ(finding(change), AuditFinding::bad_bundle);
}

TEST(inside_segment, rejects_a_bundle_for_a_claim_of_more_steps) {
    Keeper k(2);
    const Bytes served = bundle::encode(k.content({}));
    SegmentClaim claim = claim_of(k.record);
    for (const uint32_t steps : {3U, 24U}) {
        claim.steps = steps;
        const auto answer = check_bundle_and_audit(k.engine, served, {claim, {}, k.text, {}});
        ASSERT_TRUE(answer.has_value());
        EXPECT_EQ(answer->finding, AuditFinding::bad_bundle);
    }
    for (const uint32_t steps : {0U, ProgramLimits::segment_length_max + 1, ~0U}) {
        claim.steps = steps;
        EXPECT_FALSE(check_bundle_and_audit(k.engine, served, {claim, {}, k.text, {}}).has_value());
    }
}

TEST(inside_segment, names_formats_of_older_versions) {
    Keeper k(2);
    Bytes served = bundle::encode(k.content({}));
    ASSERT_EQ(served[3], '2');
    served[3] = '1';
    EXPECT_EQ(k.judge({}, served).finding, AuditFinding::old_bundle);
    Bytes record = encode_record(k.record);
    ASSERT_EQ(record[3], '2');
    record[3] = '1';
    EXPECT_EQ(decode_record(k.program, record).error(), StateError::other_version);
}

}  // namespace
}  // namespace trainyard::training
