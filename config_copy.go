package aigateway

import "reflect"

// newOrigin keeps a Config with the providers of its registry, to compile it again
// when an answer changes. It shares no setting with the caller's Config, and the
// registry is not asked again.
func newOrigin(cfg Config, listed []Provider) *Config {
	kept := deepCopy(reflect.ValueOf(cfg)).Interface().(Config)
	kept.Registry = StaticRegistry(listed...)
	return &kept
}

// deepCopy copies lists, maps and pointers to the depth of plain data. Interfaces
// with methods and functions are the dependencies of a Config: they are shared.
func deepCopy(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("json"); tag != "-" && v.Type().Field(i).IsExported() {
				out.Field(i).Set(deepCopy(v.Field(i)))
			}
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(deepCopy(v.Index(i)))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
			for it := v.MapRange(); it.Next(); {
				out.SetMapIndex(it.Key(), deepCopy(it.Value()))
			}
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().Kind() != reflect.Struct {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(deepCopy(v.Elem()))
		} else if !v.IsNil() && v.Type() == reflect.TypeFor[*Pricing]() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(deepCopy(v.Elem()))
		}
	case reflect.Interface:
		if v.NumMethod() == 0 && !v.IsNil() {
			if k := v.Elem().Kind(); k == reflect.Map || k == reflect.Slice {
				out.Set(deepCopy(v.Elem()))
			}
		}
	}
	return out
}
