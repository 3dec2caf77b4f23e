"""Routing without prices, as routers in use do it. None sees a report or a forecast, charges, or makes anybody wait.

picking   what they share: one request after the other, draws that repeat themselves, classes of agents
spread    random, round-robin, least-loaded, power-of-two
hashing   sticky, consistent-hashing
classes   cheapest, best-single, best-class-least-load, best-measured-least-load
caching   cache-aware, by the tokens that agents are believed to hold
texts     which prompts each agent was given, character by character
peers     vllm-cache-aware, sglang, ray-prefix, production-stack: routers that compare texts
dynamo    blocks to compute and blocks in use
"""
