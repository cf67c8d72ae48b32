// SPDX-License-Identifier: Apache-2.0
// Audits: honest segments match, every kind of cheat is found, and hostile bundles are refused.
#include "training/audit.hpp"

#include <algorithm>

#include "core/hash.hpp"
#include "tests/training/fixture.hpp"
#include "training/draws.hpp"
#include "training/update.hpp"

namespace trainyard::training {
namespace {

/// Two units of each of two steps, and four tiles.
AuditDraws draw(const Program& program, const SegmentClaim& claim, const Hash& seed) {
    AuditDraws draws;
    const uint32_t first = seed[0] % claim.steps, units = program.run.micro_batches;
    for (const uint32_t i : {first, (first + 1 + seed[1] % (claim.steps - 1)) % claim.steps})
        for (const uint32_t j : {0U, 1U})
            draws.units.push_back({claim.first_step + i, (seed[2] + j) % units});
    draws.tiles = tile_draws(program, seed, 4);
    return draws;
}

struct Case {
    Program program = small_program();
    Bytes text = make_text(4000);
    std::unique_ptr<Backend> backend = make_cpu_backend({});
    Engine engine = std::move(*Engine::make(program, *backend));
    SegmentLog log;
    SegmentClaim claim;

    explicit Case(Fault fault, uint8_t seed = 5, uint32_t skip = 0) {
        ModelState state = make_initial_state(program, seed_of(seed));
        for (uint32_t i = 0; i < skip; ++i) EXPECT_TRUE(run_step(engine, state, text).has_value());
        auto made = run_segment(engine, state, text, {6, fault, {}});
        EXPECT_TRUE(made.has_value());
        log = std::move(*made);
        claim = claim_of(log.record);
    }

    [[nodiscard]] AuditInputs inputs(const AuditDraws& draws) const {
        return {claim, log.first.run_seed, text, draws};
    }

    AuditAnswer audit(const AuditDraws& draws) {
        const auto bundle = make_bundle(program, *backend, log, draws);
        EXPECT_TRUE(bundle.has_value());
        const auto answer = check_bundle_and_audit(engine, *bundle, inputs(draws));
        EXPECT_TRUE(answer.has_value());
        return *answer;
    }

    /// Some recomputed unit is not the committed one.
    [[nodiscard]] bool units_differ(const AuditAnswer& answer, const AuditDraws& draws) const {
        for (size_t k = 0; k < answer.units.size(); ++k) {
            const UnitOpening o = open_unit(log.record, draws.units[k].t, draws.units[k].j);
            EXPECT_TRUE(verify_unit_opening(claim, program.run.micro_batches, o));
            if (unit_leaf(o.t, o.j, o.unit) != answer.units[k]) return true;
        }
        return answer.units.empty();
    }
};

TEST(audit, an_honest_segment_matches_for_every_seed) {
    Case first(Fault::none), later(Fault::none, 6, 3);
    for (uint8_t seed = 0; seed < 10; ++seed)
        for (Case* c : {&first, &later}) {
            const AuditDraws draws = draw(c->program, c->claim, seed_of(seed));
            const AuditAnswer answer = c->audit(draws);
            EXPECT_TRUE(answer.matches()) << to_text(answer.finding) << " at " << answer.step;
            EXPECT_FALSE(c->units_differ(answer, draws));
        }
}

TEST(audit, skipped_updates_are_caught_by_every_tile_in_20_of_20_seeds) {
    Case c(Fault::skip_steps);
    for (uint8_t seed = 0; seed < 20; ++seed) {
        const AuditDraws draws = draw(c.program, c.claim, seed_of(seed));
        const AuditAnswer answer = c.audit(draws);
        EXPECT_EQ(answer.finding, AuditFinding::update);
        EXPECT_EQ(answer.step % 2, 1U) << "the skipped steps are the odd ones";
    }
}

TEST(audit, made_up_gradients_are_caught_by_a_unit_of_the_step) {
    for (const Fault fault : {Fault::reuse_gradients, Fault::zero_gradients}) {
        Case c(fault);
        for (uint32_t t = 0; t < 6; ++t) {
            const AuditDraws draws{{{t, 0}, {t, 2}}, {{3, 1}, {0, 0}}};
            const AuditAnswer answer = c.audit(draws);
            EXPECT_TRUE(answer.matches()) << "the updates themselves are honest";
            EXPECT_EQ(c.units_differ(answer, draws), t % 2 == 1);
        }
    }
}

/// docs/spec/audits.md, section 3: this is why segments are replayed by lot.
TEST(audit, made_up_sums_of_honest_units_are_found_by_a_full_replay_alone) {
    Case c(Fault::none);
    ModelState honest = c.log.first, state = c.log.first;
    const auto step = run_step(c.engine, honest, c.text);
    ASSERT_TRUE(step.has_value());
    std::vector<Unit> units;
    for (size_t j = 0; j < step->unit_loss_bits.size(); ++j)
        units.push_back({step->unit_loss_bits[j], step->unit_grad_roots[j]});

    std::vector<Tensor> made_up;
    std::vector<std::span<const float>> spans;
    for (const Shape& shape : parameter_shapes(c.program))
        made_up.push_back({shape, Floats(shape.count(), 0.25F)});
    for (const Tensor& tensor : made_up) spans.emplace_back(tensor.data);
    const TensorSet sums = TensorSet::of(*c.backend, made_up);
    const uint32_t norm_bits = 0x3f000000;  // one half, which is not theirs either
    auto live = LiveState::load(*c.backend, c.program, state);
    ASSERT_TRUE(live && update_with(c.program, *live, sums, norm_bits) && live->save());

    const Hash id = program_id(c.program);
    SegmentRecord record;
    record.states.first = state_root(c.log.first, id);
    record.states.last = state_root(state, id);
    record.tuples = {
        {units_root(0, units), *grad_root(*c.backend, sums), norm_bits, step->loss_bits, 0}};
    record.units = {units};
    const auto gradients = std::make_shared<GradientMemory>(parameter_shapes(c.program));
    gradients->start(spans);
    c.log.record = record;
    c.log.gradients = gradients;
    c.claim = claim_of(record);

    const AuditDraws draws{{{0, 0}, {0, 2}}, {{3, 1}, {0, 0}}};
    const AuditAnswer answer = c.audit(draws);
    EXPECT_TRUE(answer.matches()) << to_text(answer.finding);
    EXPECT_FALSE(c.units_differ(answer, draws));
    ModelState replayed = c.log.first;
    const auto replay = replay_segment(c.engine, c.text, replayed, 1);
    ASSERT_TRUE(replay.has_value());
    EXPECT_NE(replay->steps_root, c.claim.steps_root);
}

TEST(audit, a_provider_that_makes_up_sums_passes_every_draw) {
    Case c(Fault::made_up_sums);
    for (uint8_t seed = 0; seed < 10; ++seed) {
        const AuditDraws draws = draw(c.program, c.claim, seed_of(seed));
        const AuditAnswer answer = c.audit(draws);
        EXPECT_TRUE(answer.matches()) << to_text(answer.finding) << " at " << answer.step;
        EXPECT_FALSE(c.units_differ(answer, draws));
    }
}

TEST(audit, a_full_replay_differs_from_every_cheat) {
    for (const Fault fault :
         {Fault::skip_steps, Fault::reuse_gradients, Fault::zero_gradients, Fault::made_up_sums}) {
        Case c(fault);
        ModelState state = c.log.first;
        const auto replayed = replay_segment(c.engine, c.text, state, 6);
        ASSERT_TRUE(replayed.has_value());
        EXPECT_NE(replayed->steps_root, c.claim.steps_root);
        EXPECT_NE(replayed->digest, replay_digest(c.log.record));
    }
}

TEST(audit, a_poisoned_initial_state_is_found) {
    Case c(Fault::none);
    ModelState poisoned = make_initial_state(c.program, seed_of(5));
    poisoned.w[3].data[0] += 0.5F;
    auto made = run_segment(c.engine, poisoned, c.text, {6, Fault::none, {}});
    c.log = std::move(*made);
    c.claim = claim_of(c.log.record);
    const AuditAnswer answer = c.audit({{{1, 0}}, {{2, 0}}});
    EXPECT_EQ(answer.finding, AuditFinding::boundary);
    EXPECT_EQ(answer.step, 0U);
}

TEST(audit, wrong_weights_counters_and_roots_are_named) {
    Case c(Fault::none);
    const AuditDraws draws{{{2, 1}}, {{4, 0}}};
    const Bytes good = *make_bundle(c.program, *c.backend, c.log, draws);
    const auto finding = [&](const Bytes& bundle) {
        return check_bundle_and_audit(c.engine, bundle, c.inputs(draws))->finding;
    };
    EXPECT_EQ(finding(good), AuditFinding::match);
    Bytes bad = good;
    bad[4] ^= 1;  // S_0
    EXPECT_EQ(finding(bad), AuditFinding::steps_root);
    const size_t spine = 4 + 7 * 32 + 6 * 73;
    bad = good;
    bad[spine] ^= 1;  // the path of the first scalar leaf
    EXPECT_EQ(finding(bad), AuditFinding::scalars);
    c.claim.last_root[0] ^= 1;
    EXPECT_EQ(finding(good), AuditFinding::boundary);
    c.claim.last_root[0] ^= 1;
    SegmentLog other = c.log;
    other.first.w[4].data[7] += 1.0F;
    EXPECT_NE(finding(*make_bundle(c.program, *c.backend, other, draws)), AuditFinding::match);
    bad = good;
    bad[bad.size() - 300] ^= 1;  // the last gradient tile, before its path of 192 bytes
    EXPECT_EQ(finding(bad), AuditFinding::gradient);
}

TEST(audit, rejects_bundles_of_every_other_length) {
    Case c(Fault::none);
    const AuditDraws draws{{{2, 1}}, {{4, 0}}};
    const Bytes good = *make_bundle(c.program, *c.backend, c.log, draws);
    for (size_t n = 0; n < good.size(); n += 997) {
        const auto answer =
            check_bundle_and_audit(c.engine, BytesView(good).first(n), c.inputs(draws));
        ASSERT_TRUE(answer.has_value());
        EXPECT_EQ(answer->finding, AuditFinding::bad_bundle);
        EXPECT_TRUE(answer->units.empty());
    }
    Bytes longer = good;
    longer.push_back(0);
    EXPECT_EQ(check_bundle_and_audit(c.engine, longer, c.inputs(draws))->finding,
              AuditFinding::bad_bundle);
}

TEST(audit, any_changed_byte_of_a_bundle_is_found) {
    Case c(Fault::none);
    const AuditDraws draws{{{2, 1}}, {{4, 0}}};
    const Bytes good = *make_bundle(c.program, *c.backend, c.log, draws);
    for (size_t i = 0; i < good.size(); i += 1471) {
        Bytes bad = good;
        bad[i] ^= 0x40;
        const auto answer = check_bundle_and_audit(c.engine, bad, c.inputs(draws));
        ASSERT_TRUE(answer.has_value());
        EXPECT_FALSE(answer->matches()) << "byte " << i << " of " << good.size();
    }
}

TEST(audit, one_walk_gives_every_auditor_the_bundle_of_a_walk_alone) {
    Case c(Fault::none);
    std::vector<AuditDraws> draws;
    for (uint8_t seed = 0; seed < 4; ++seed)
        draws.push_back(draw(c.program, c.claim, seed_of(seed)));
    draws.push_back({});
    const auto bundles = make_bundles(c.program, *c.backend, c.log, draws);
    ASSERT_TRUE(bundles && bundles->size() == draws.size());
    for (size_t k = 0; k < draws.size(); ++k) {
        EXPECT_EQ((*bundles)[k], *make_bundle(c.program, *c.backend, c.log, draws[k])) << k;
        EXPECT_TRUE(check_bundle_and_audit(c.engine, (*bundles)[k], c.inputs(draws[k]))->matches());
    }
    draws.push_back({{{6, 0}}, {}});
    EXPECT_EQ(make_bundles(c.program, *c.backend, c.log, draws).error(), EngineError::wrong_shape);
}

TEST(audit, no_bundle_is_made_from_a_log_that_is_damaged) {
    Case c(Fault::none);
    const AuditDraws draws{{{2, 1}}, {{4, 0}}};
    ASSERT_TRUE(make_bundle(c.program, *c.backend, c.log, draws).has_value());
    const auto whole = c.log.gradients;
    for (const uint32_t damaged : {0U, 3U, 5U}) {
        auto gradients = std::make_shared<GradientMemory>(parameter_shapes(c.program));
        for (uint32_t i = 0; i < 6; ++i) {
            std::vector<Tensor> set = *whole->read(i);
            if (i == damaged) set.back().data.back() += 1.0F;
            std::vector<std::span<const float>> elements;
            for (const Tensor& t : set) elements.emplace_back(t.data);
            gradients->start(std::move(elements));
        }
        c.log.gradients = gradients;
        EXPECT_EQ(make_bundle(c.program, *c.backend, c.log, draws).error(), EngineError::bad_log);
    }
    c.log.gradients = std::make_shared<GradientMemory>(parameter_shapes(c.program));
    EXPECT_EQ(make_bundle(c.program, *c.backend, c.log, draws).error(), EngineError::bad_log);
}

TEST(audit, rejects_draws_outside_the_segment) {
    Case c(Fault::none);
    const AuditDraws outside[] = {
        {{{6, 0}}, {}}, {{{0, 3}}, {}}, {{}, {{99, 0}}}, {{}, {{0, 999}}}};
    for (const AuditDraws& draws : outside) {
        EXPECT_FALSE(make_bundle(c.program, *c.backend, c.log, draws).has_value());
        EXPECT_FALSE(check_bundle_and_audit(c.engine, {}, c.inputs(draws)).has_value());
    }
}

TEST(draws, tiles_lie_inside_the_program_and_depend_on_the_seed) {
    const Program program = small_program();
    for (uint8_t seed = 0; seed < 50; ++seed) {
        const auto tiles = tile_draws(program, seed_of(seed), 8);
        ASSERT_EQ(tiles.size(), 8U);
        for (const TileDraw& d : tiles) {
            ASSERT_LT(d.tensor, program.parameters.size());
            EXPECT_LT(d.tile, tile_count(program.parameters[d.tensor].shape));
        }
        EXPECT_NE(tiles, tile_draws(program, seed_of(seed + 50), 8));
    }
}

}  // namespace
}  // namespace trainyard::training
