// Package plain copies plain data: values of the types that JSON decodes to, and structs of
// settings. The copy shares nothing with its original that one side could change. It is a
// leaf: it imports the standard library only.
package plain

import (
	"encoding"
	"encoding/json"
	"reflect"
)

// Map is [Value] for the free-form values of a setting. Nil stays nil.
func Map[T ~string](m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	return Value[T](m).(map[string]any)
}

// Value copies a value, to its depth, into the types that JSON decodes to. A Go program may
// have put lists and maps of other types into its settings. A T counts as its text, although
// it marshals itself. Any other value that marshals itself stays as it is, and so does a
// value of any other type.
func Value[T ~string](v any) any {
	switch v := v.(type) {
	case nil, string, bool, json.Number:
		return v
	case T:
		return string(v)
	case map[string]any:
		if v == nil {
			return nil
		}
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = Value[T](e)
		}
		return m
	case json.Marshaler, encoding.TextMarshaler:
		return v
	}
	switch from := reflect.ValueOf(v); from.Kind() {
	case reflect.String:
		return from.String()
	case reflect.Slice, reflect.Array:
		if from.Kind() == reflect.Slice && from.IsNil() || from.Type().Elem().Kind() == reflect.Uint8 {
			return v // null, and to JSON a list of bytes is base64
		}
		l := make([]any, from.Len())
		for i := range l {
			l[i] = Value[T](from.Index(i).Interface())
		}
		return l
	case reflect.Map:
		if from.IsNil() || from.Type().Key().Kind() != reflect.String {
			return v
		}
		m := make(map[string]any, from.Len())
		for it := from.MapRange(); it.Next(); {
			m[it.Key().String()] = Value[T](it.Value().Interface())
		}
		return m
	default:
		return v
	}
}

// Copy copies settings: lists, maps and pointers to the depth of plain data. What it does
// not copy is shared.
//
//   - A field tagged json:"-" is a dependency, and shared. So are interfaces with methods and
//     functions.
//   - A pointer to a struct is copied if the struct is of the package of T. One of another
//     package could hold a lock.
//   - A value of the type any is copied if it is a map or a list.
func Copy[T any](v T) T {
	t := reflect.TypeFor[T]()
	return copied(reflect.ValueOf(&v).Elem(), t.PkgPath()).Interface().(T)
}

// copied copies v. pkg is the package of the settings.
func copied(v reflect.Value, pkg string) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("json"); tag != "-" && v.Type().Field(i).IsExported() {
				out.Field(i).Set(copied(v.Field(i), pkg))
			}
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(copied(v.Index(i), pkg))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
			for it := v.MapRange(); it.Next(); {
				out.SetMapIndex(it.Key(), copied(it.Value(), pkg))
			}
		}
	case reflect.Pointer:
		if to := v.Type().Elem(); !v.IsNil() && (to.Kind() != reflect.Struct || to.PkgPath() == pkg) {
			out.Set(reflect.New(to))
			out.Elem().Set(copied(v.Elem(), pkg))
		}
	case reflect.Interface:
		if v.NumMethod() == 0 && !v.IsNil() {
			if k := v.Elem().Kind(); k == reflect.Map || k == reflect.Slice {
				out.Set(copied(v.Elem(), pkg))
			}
		}
	}
	return out
}
