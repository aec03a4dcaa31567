package aigateway

import (
	"maps"
	"slices"
	"strings"
)

// overlay lays a configured provider over the registry's: given fields win, the
// others stay.
func overlay(base, over Provider) Provider {
	p := over
	// The registry's id stays a name of the provider, for clients that know it.
	if strings.EqualFold(base.ID, over.ID) {
		p.ID = base.ID
	} else if !hasName(p.ID, p.IDAliases, base.ID) {
		p.IDAliases = append(slices.Clone(p.IDAliases), base.ID)
	}
	for _, alias := range base.IDAliases {
		if !hasName(p.ID, p.IDAliases, alias) {
			p.IDAliases = append(slices.Clone(p.IDAliases), alias)
		}
	}
	p.BaseURL = given(over.BaseURL, base.BaseURL)
	p.DisplayName = given(over.DisplayName, base.DisplayName)
	p.Description = given(over.Description, base.Description)
	p.Website = given(over.Website, base.Website)
	p.PerRequestTimeout = given(over.PerRequestTimeout, base.PerRequestTimeout)
	p.TLS, p.Proxy = given(over.TLS, base.TLS), given(over.Proxy, base.Proxy)
	p.Limits = given(over.Limits, base.Limits)
	p.Auth = given(over.Auth, base.Auth)
	p.Translate = given(over.Translate, base.Translate)
	p.Discover = given(over.Discover, base.Discover)
	p.Disabled = over.Disabled || base.Disabled
	p.SharedLists = over.SharedLists || base.SharedLists
	p.UncheckedBatches = over.UncheckedBatches || base.UncheckedBatches
	if len(over.APIKeys) == 0 {
		p.APIKeys = base.APIKeys
	}
	if len(over.SupportedAPISurfaces) == 0 {
		p.SupportedAPISurfaces = base.SupportedAPISurfaces
	}
	p.Metadata = merged(base.Metadata, over.Metadata)
	// Header names compare case-insensitively, unlike map keys.
	p.Headers = maps.Clone(base.Headers)
	maps.DeleteFunc(p.Headers, func(name string, _ Template) bool { return hasHeader(over.Headers, name) })
	p.Headers = merged(p.Headers, over.Headers)
	p.QueryParams = merged(base.QueryParams, over.QueryParams)
	p.Body = merged(base.Body, over.Body)
	return p
}

// overlayModel fills in the facts of a configured model from the catalog's.
func overlayModel(base, over Model) Model {
	m := over
	// A model under another name than the catalog's does not take over its aliases.
	if strings.EqualFold(base.ID, over.ID) {
		m.ID = base.ID
		for _, alias := range base.IDAliases {
			if !hasName(m.ID, m.IDAliases, alias) {
				m.IDAliases = append(slices.Clone(m.IDAliases), alias)
			}
		}
	}
	m.AuthorID = given(over.AuthorID, base.AuthorID)
	m.DisplayName = given(over.DisplayName, base.DisplayName)
	m.Description = given(over.Description, base.Description)
	m.Disabled = over.Disabled || base.Disabled
	m.Metadata = merged(base.Metadata, over.Metadata)
	m.InputModalities = givenList(over.InputModalities, base.InputModalities)
	m.OutputModalities = givenList(over.OutputModalities, base.OutputModalities)
	m.SupportedFeatures = givenList(over.SupportedFeatures, base.SupportedFeatures)
	m.UnsupportedParams = givenList(over.UnsupportedParams, base.UnsupportedParams)
	m.Datacenters = givenList(over.Datacenters, base.Datacenters)
	m.Fallbacks = givenList(over.Fallbacks, base.Fallbacks)
	m.PerRequestTimeout = given(over.PerRequestTimeout, base.PerRequestTimeout)
	m.FirstTokenTimeout = given(over.FirstTokenTimeout, base.FirstTokenTimeout)
	m.Limits = given(over.Limits, base.Limits)
	m.MaxContextWindow = given(over.MaxContextWindow, base.MaxContextWindow)
	m.MaxOutputTokens = given(over.MaxOutputTokens, base.MaxOutputTokens)
	m.ParameterCount = given(over.ParameterCount, base.ParameterCount)
	m.Quantization = given(over.Quantization, base.Quantization)
	m.DataTrainingPolicy = given(over.DataTrainingPolicy, base.DataTrainingPolicy)
	m.DataRetentionDays = given(over.DataRetentionDays, base.DataRetentionDays)
	m.DataRetentionPolicy = given(over.DataRetentionPolicy, base.DataRetentionPolicy)
	m.ShutdownDate = given(over.ShutdownDate, base.ShutdownDate)
	m.Fallbacks = givenList(over.Fallbacks, base.Fallbacks)
	m.PerRequestTimeout = given(over.PerRequestTimeout, base.PerRequestTimeout)
	m.FirstTokenTimeout = given(over.FirstTokenTimeout, base.FirstTokenTimeout)
	m.Limits = given(over.Limits, base.Limits)
	m.Pricing = overlayPricing(base.Pricing, over.Pricing)
	return m
}

// overlayPricing fills in the prices missing in the config. The catalog's tiers
// belong to its own prices: they do not hold beside a config's input or output.
func overlayPricing(base, over *Pricing) *Pricing {
	if base == nil || over == nil {
		return given(over, base)
	}
	p := &Pricing{
		Input: given(over.Input, base.Input), Output: given(over.Output, base.Output),
		InputCacheRead:    given(over.InputCacheRead, base.InputCacheRead),
		InputCacheWrite:   given(over.InputCacheWrite, base.InputCacheWrite),
		InputCacheWrite1h: given(over.InputCacheWrite1h, base.InputCacheWrite1h),
		InputBatch:        given(over.InputBatch, base.InputBatch),
		OutputBatch:       given(over.OutputBatch, base.OutputBatch),
		Tiers:             over.Tiers,
		Tools:             merged(base.Tools, over.Tools),
	}
	// Tiers replace input and output, so they belong to the same source.
	if over.Input == nil && over.Output == nil {
		p.Tiers = givenList(over.Tiers, base.Tiers)
	}
	return p
}

// hasHeader reports whether a header is among some, in any letter case.
func hasHeader(headers map[string]Template, name string) bool {
	for given := range headers {
		if strings.EqualFold(given, name) {
			return true
		}
	}
	return false
}

// hasName reports whether a name is the id or one of the aliases.
func hasName(id string, aliases []string, name string) bool {
	return strings.EqualFold(id, name) ||
		slices.ContainsFunc(aliases, func(a string) bool { return strings.EqualFold(a, name) })
}

// given returns over, or base if over is zero.
func given[T comparable](over, base T) T {
	var zero T
	if over == zero {
		return base
	}
	return over
}

// givenList returns over, or base if over is empty.
func givenList[T any](over, base []T) []T {
	if len(over) == 0 {
		return base
	}
	return over
}

// merged returns the entries of both, over's before base's.
func merged[V any](base, over map[string]V) map[string]V {
	if len(base) == 0 {
		return over
	}
	m := maps.Clone(base)
	maps.Copy(m, over)
	return m
}
